/** The gate of verification: serving/gate.py in JavaScript. That file cites the papers. */

export const PROVEN = "proven", NOT_SHOWN = "not shown", WORSE = "worse";
export const VERDICTS = [PROVEN, NOT_SHOWN, WORSE]; // from best to worst

const Z = 1.6448536269514722; // the 95 % quantile of the normal distribution
export const SIGNIFICANT = 0.05, CERTAIN = 0.01;
const MOST_IMAGES = 1e9;
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
  -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6,
  1.5056327351493116e-7,
];

/** The verdict on another processor, from the facts there and the maker's own verdict. */
export function elsewhere(facts) {
  const { lost, gained, images, maker } = facts;
  const bound = facts.error_added_bound ?? facts.accuracy_lost_bound;
  const allowed = facts.max_error_added ?? facts.max_accuracy_drop;
  const exceeded =
    "unit" in facts
      ? facts.error_added_at_least > allowed
      : exceeds(lost, gained, images, allowed);
  const finite = Number.isFinite(facts.largest_difference);
  const reproduced = finite && facts.golden_difference <= facts.golden_tolerance;
  if (!reproduced || exceeded) return WORSE;
  return maker.verdict === NOT_SHOWN && bound <= allowed ? PROVEN : maker.verdict;
}

/** Whether significantly more accuracy is lost than allowed. */
export function exceeds(lost, gained, total, allowed) {
  const net = lost - gained;
  return net > 1 && incompleteBeta(net, total - net + 1, allowed) < CERTAIN;
}

/** The one-sided upper 95 % bound of the accuracy lost. */
export function accuracyLostBound(lost, gained, total) {
  const estimate = (lost - gained) / total;
  if (estimate >= 1) return 1;
  const excess = loss => {
    const b = -lost - gained + (2 * total - lost + gained) * loss;
    const c = -gained * loss * (1 - loss);
    const pGained = (Math.sqrt(Math.max(b * b - 8 * total * c, 0)) - b) / (4 * total);
    const disagreeing = 2 * pGained + loss;
    const skewness = disagreeing > 0 ? loss / disagreeing : 0;
    const correction = 0.5 - ((Z * Z - 1) / 6) * skewness;
    const deviation = Math.sqrt(Math.max(total * (disagreeing - loss * loss), 0));
    return lost - gained + correction - total * loss + Z * deviation;
  };
  return root(excess, Math.max(estimate, -1), 1);
}

/** How many images would show that no more is lost, at these rates; null if no number would. */
export function imagesNeeded(allowed, lostRate = 0, gainedRate = 0) {
  gainedRate = Math.min(gainedRate, lostRate);  // more may be chance
  const shown = total =>
    accuracyLostBound(lostRate * total, gainedRate * total, total) <= allowed;
  if (!shown(MOST_IMAGES)) return null;
  let low = 1, high = MOST_IMAGES;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (shown(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The exact 95 % interval of correct / total. */
export function accuracyInterval(correct, total) {
  const belowTail = p => 0.025 - incompleteBeta(correct, total - correct + 1, p);
  const aboveTail = p => 0.975 - incompleteBeta(correct + 1, total - correct, p);
  return [
    correct > 0 ? root(belowTail, 0, 1) : 0,
    correct < total ? root(aboveTail, 0, 1) : 1,
  ];
}

/** The two-sided p-value of the exact McNemar test. */
export function mcnemar(lost, gained) {
  const fewer = Math.min(lost, gained), all = lost + gained;
  return fewer === all ? 1 : Math.min(1, 2 * incompleteBeta(all - fewer, fewer + 1, 0.5));
}

/** How many values there are, their mean and their standard deviation; of one, its size. */
export function moments(values) {
  const count = values.length, mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { count, mean, deviation: count > 1 ? Math.sqrt(squares / (count - 1)) : Math.abs(mean) };
}

/** How far a mean may be from that of all images, with this one-sided risk, by Student's t. */
export function margin({ count, deviation }, risk) {
  const freedom = Math.max(count - 1, 1);
  const excess = t => incompleteBeta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2 - risk;
  return (root(excess, 0, 64) * deviation) / Math.sqrt(count);
}

/** The regularized incomplete beta function I_x(a, b), as a continued fraction. */
export function incompleteBeta(a, b, x) {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(b, a, 1 - x);
  const logFactor =
    logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x);
  let fraction = 1, numerator = 1, denominator = 0;
  for (let step = 0; step < 10000; step++) {
    const m = Math.floor(step / 2);
    let coefficient = 1;
    if (step % 2) coefficient = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    else if (step) coefficient = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    denominator = 1 / notZero(1 + coefficient * denominator);
    numerator = notZero(1 + coefficient / numerator);
    fraction *= numerator * denominator;
    if (Math.abs(numerator * denominator - 1) < 1e-15) break;
  }
  return (Math.exp(logFactor) * (fraction - 1)) / a;
}

/** The logarithm of the gamma function for x > 0.5 (Lanczos, 1964, with Godfrey's coefficients). */
function logGamma(x) {
  const t = x + 6.5;
  const sum = LANCZOS.reduce((total, coefficient, index) => total + coefficient / (x - 1 + index));
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

function notZero(value) {
  return Math.abs(value) > 1e-300 ? value : 1e-300;
}

/** The root, to 1e-13, of a function that decreases from `low` to `high`. */
function root(falling, low, high) {
  while (high - low > 1e-13) {
    const middle = (low + high) / 2;
    if (falling(middle) > 0) low = middle;
    else high = middle;
  }
  return high;
}
