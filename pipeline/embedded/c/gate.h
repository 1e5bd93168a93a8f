/* The gate of verification, serving/gate.py in C: what is lost against the trained model, and the verdict. */
#ifndef GATE_H
#define GATE_H

enum verdict { PROVEN, NOT_SHOWN, WORSE };

/*
 * Whether more is lost than is allowed, beyond chance: `lost` images only the trained model has right, `gained` only
 * this one, of `total`; `allowed` is a fraction of them.
 */
int gate_exceeds(double lost, double gained, double total, double allowed);

/* The one-sided upper 95 % bound of the accuracy lost. */
double gate_bound(double lost, double gained, double total);

/* The exact 95 % interval of correct / total. */
void gate_interval(double correct, double total, double *low, double *high);

/* The two-sided p-value of the exact McNemar test. */
double gate_mcnemar(double lost, double gained);

/* How many images show that no more than `allowed` is lost, if they go on being lost and gained at these rates; 0: none do. */
long gate_images_needed(double allowed, double lost_rate, double gained_rate);

#endif
