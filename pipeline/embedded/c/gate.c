/* The functions of serving/gate.py and distributions.py, which explain them and cite the papers. */
#include "gate.h"

#include <math.h>

static const double Z = 1.6448536269514722; /* the 95 % quantile of the normal distribution */
static const long MOST_IMAGES = 1000000000;

struct counts {
    double lost, gained, total;
};

struct tail {
    double a, b, level;
};

static double not_zero(double value)
{
    return fabs(value) > 1e-300 ? value : 1e-300;
}

/* The regularized incomplete beta function I_x(a, b), as a continued fraction. */
static double incomplete_beta(double a, double b, double x)
{
    double log_factor, fraction = 1, numerator = 1, denominator = 0;
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    if (x > (a + 1) / (a + b + 2))
        return 1 - incomplete_beta(b, a, 1 - x);
    log_factor = lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x);
    for (int step = 0; step < 10000; step++) {
        double m = step / 2, coefficient = 1;
        if (step % 2)
            coefficient = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        else if (step)
            coefficient = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        denominator = 1 / not_zero(1 + coefficient * denominator);
        numerator = not_zero(1 + coefficient / numerator);
        fraction *= numerator * denominator;
        if (fabs(numerator * denominator - 1) < 1e-15)
            break;
    }
    return exp(log_factor) * (fraction - 1) / a;
}

/* The root, to 1e-13, of a function that decreases from `low` to `high`. */
static double root(double (*falling)(const void *, double), const void *arguments, double low,
                   double high)
{
    while (high - low > 1e-13) {
        double middle = (low + high) / 2;
        if (falling(arguments, middle) > 0)
            low = middle;
        else
            high = middle;
    }
    return high;
}

static double above_tail(const void *arguments, double p)
{
    const struct tail *tail = arguments;
    return tail->level - incomplete_beta(tail->a, tail->b, p);
}

void gate_interval(double correct, double total, double *low, double *high)
{
    struct tail below = {correct, total - correct + 1, 0.025};
    struct tail above = {correct + 1, total - correct, 0.975};
    *low = correct > 0 ? root(above_tail, &below, 0, 1) : 0;
    *high = correct < total ? root(above_tail, &above, 0, 1) : 1;
}

double gate_mcnemar(double lost, double gained)
{
    double fewer = lost < gained ? lost : gained, all = lost + gained;
    return fewer == all ? 1 : fmin(1, 2 * incomplete_beta(all - fewer, fewer + 1, 0.5));
}

static double above_risk(const void *arguments, double t)
{
    const struct tail *tail = arguments;
    double freedom = 2 * tail->a;
    return incomplete_beta(tail->a, tail->b, freedom / (freedom + t * t)) / 2 - tail->level;
}

double gate_t_quantile(double risk, double total)
{
    struct tail tail = {fmax(total - 1, 1) / 2, 0.5, risk};
    return root(above_risk, &tail, 0, 64);
}

static double excess(const void *arguments, double loss)
{
    const struct counts *n = arguments;
    double b = -n->lost - n->gained + (2 * n->total - n->lost + n->gained) * loss;
    double c = -n->gained * loss * (1 - loss);
    double p_gained = (sqrt(fmax(b * b - 8 * n->total * c, 0)) - b) / (4 * n->total);
    double disagreeing = 2 * p_gained + loss, skewness = disagreeing > 0 ? loss / disagreeing : 0;
    double correction = 0.5 - (Z * Z - 1) / 6 * skewness;
    double deviation = sqrt(fmax(n->total * (disagreeing - loss * loss), 0));
    return n->lost - n->gained + correction - n->total * loss + Z * deviation;
}

double gate_bound(double lost, double gained, double total)
{
    struct counts counts = {lost, gained, total};
    double estimate = (lost - gained) / total;
    return estimate >= 1 ? 1 : root(excess, &counts, fmax(estimate, -1), 1);
}

long gate_images_needed(double allowed, double lost_rate, double gained_rate)
{
    long low = 1, high = MOST_IMAGES;
    gained_rate = fmin(gained_rate, lost_rate); /* more may be chance */
    if (gate_bound(lost_rate * high, gained_rate * high, high) > allowed)
        return 0;
    while (low < high) {
        long middle = (low + high) / 2;
        if (gate_bound(lost_rate * middle, gained_rate * middle, middle) <= allowed)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

int gate_exceeds(double lost, double gained, double total, double allowed)
{
    double net = lost - gained;
    return net > 1 && incomplete_beta(net, total - net + 1, allowed) < CERTAIN;
}
