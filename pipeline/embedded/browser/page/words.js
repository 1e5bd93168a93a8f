/** Numbers in words, with the digits that Python and C write: of a tie, the even one. */

const EXACT = 100; // decimals, with which a tie shows

/** As `%.*f`. */
export function fixed(value, decimals) {
  return even(value.toFixed(EXACT), decimals) ?? value.toFixed(decimals);
}

/** As `%.*g`. */
export function general(value, digits = 4) {
  const [rounded, power] = value.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  if (exponent >= -4 && exponent < digits) return trimmed(fixed(value, digits - 1 - exponent));
  const [exact] = value.toExponential(EXACT).split("e");
  const mantissa = trimmed(even(exact, digits - 1) ?? rounded);
  return `${mantissa}e${power[0]}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/** The decimals of an exact number, if the rest of it is a tie and the last of them is even. */
function even(exact, decimals) {
  const end = exact.length - EXACT + decimals;
  const cut = exact.slice(0, end).replace(/\.$/, "");
  return "02468".includes(cut.at(-1)) && /^50*$/.test(exact.slice(end)) ? cut : undefined;
}

export function percent(fraction, digits = 2) {
  return `${fixed(100 * fraction, digits)} %`;
}

function trimmed(digits) {
  return digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
}
