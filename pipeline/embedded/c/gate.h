/* The gate of verification, serving/gate.py in C: what is lost against the trained model. */
#ifndef GATE_H
#define GATE_H

/* The risk of calling a file worse that is not; small, because it is tried on many processors. */
#define CERTAIN 0.01

enum verdict { PROVEN, NOT_SHOWN, WORSE };

/*
 * Whether significantly more accuracy is lost than allowed. Of `total` images, `lost`
 * are right only for the trained model and `gained` only for this one; `allowed` is a fraction.
 */
int gate_exceeds(double lost, double gained, double total, double allowed);

/* The one-sided upper 95 % bound of the accuracy lost. */
double gate_bound(double lost, double gained, double total);

/* The exact 95 % interval of correct / total. */
void gate_interval(double correct, double total, double *low, double *high);

/* The two-sided p-value of the exact McNemar test. */
double gate_mcnemar(double lost, double gained);

/* What Student's t of a mean of `total` values exceeds with the probability `risk`. */
double gate_t_quantile(double risk, double total);

/*
 * How many images would show that no more than `allowed` is lost, if images are lost and gained at
 * these rates; 0 if no number would.
 */
long gate_images_needed(double allowed, double lost_rate, double gained_rate);

#endif
