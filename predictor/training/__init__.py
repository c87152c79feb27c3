"""Trainings on the site: asked for (`runs`, `settings`, `estimate`), taken up by one worker at a time (`claims`), minded while a
child process trains (`supervising`, `child`, `folders`, `progress`), and shown (`charts`, `form`, `admin`).
"""
