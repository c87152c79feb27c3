"""What each figure means, exactly: the words that stand in every report and in docs/quality.md."""

from __future__ import annotations

# By figure or, where several share a definition, by what their names have in common. p is a film's probability of a
# genre, y is 1 where TMDB gives it the genre and else 0, n the number of films.
DEFINITIONS: dict[str, str] = {
    "macro ROC AUC": "of each genre, the share of pairs (a film with it, a film without it) in which the film with it has"
    " the higher probability, ties counting half; the mean over the genres that have both kinds of film.",
    "micro ROC AUC": "the same over all pairs of film and genre as one ranking.",
    "mAP": "mean average precision: of each genre, precision at each distinct probability, weighted by the step in recall"
    " there, without interpolation; the mean over the genres that have a film.",
    "precision, recall, F1": "of the genres predicted, which are those whose probability reaches their threshold: micro"
    " from the hits, misses and extras of all genres together; macro as the mean over all 18 genres; weighted as that"
    " mean weighted by the genres' films; samples as the mean over films. 0 where there is nothing to divide by.",
    "Hamming": "the share of the 18 n decisions that are wrong.",
    "subset accuracy": "the share of films whose genres are all and only those predicted.",
    "coverage error": "how many genres, likeliest first, have to be taken to cover all of a film's; the mean over films.",
    "ranking loss": "of a film, the share of pairs (a genre of its, another) in which the other is at least as likely; the"
    " mean over films, 0 for a film with all genres or none.",
    "loss": "mean of -(y ln p + (1 - y) ln(1 - p)) over films and genres, logarithms bounded by -100.",
    "ECE": "expected calibration error: the 18 n answers in 15 equally wide bins of probability, the distance of mean"
    " probability and frequency in each, weighted by its answers.",
    "article: accuracy": "mean of 1 - |p - y| over films and genres, as in the article's code. Who always says no reaches 1"
    " minus the share of genres that films have, so it tells little.",
    "article: precision, recall, F1, Hamming": "with the threshold 0.5 for all genres; precision, recall and F1 are the"
    " samples averages.",
    "article: ROC AUC, loss": "macro ROC AUC and loss as above.",
}

INTERVALS = (
    "Intervals are 95 % percentile bootstrap intervals: films are drawn with replacement, each with all its genres, 1,000"
    " times (300 in slices), and the bounds are the 2.5th and 97.5th percentile of the figure. mAP and ECE are a little"
    " higher on drawn films than on the films themselves, so their intervals lie a little high. Both models of a difference"
    " see the same draws."
)
THRESHOLDS = (
    "Thresholds and calibration come from validation films, for each genre and set of inputs apart; nothing is chosen on"
    " test films."
)
BASELINES = (
    "Always no gives no genre to any film. The prior gives each film the frequencies of the genres among training films;"
    " its threshold is 0.5."
)
SLICES = (
    "In a slice macro averages (mAP among them) are over the genres that at least 10 of its films have and at least 10 have"
    " not, so those of different slices are over different genres. On fewer than 50 films nothing is told. The films of a genre are picked by what is true of them, so"
    " there is no ECE by genre here: that of a genre's own probabilities is in the table by genre."
)
