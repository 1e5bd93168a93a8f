/** Numbers in words, with the digits that Python and C write: of a tie, the even one. */

const EXACT = 100; // decimals, with which a tie shows

/** As `%.*f`. */
export function fixed(value, decimals) {
  const exact = value.toFixed(EXACT);
  const end = exact.length - EXACT + decimals;
  const cut = exact.slice(0, end).replace(/\.$/, "");
  const isEven = "02468".includes(cut.at(-1));
  return isEven && /^50*$/.test(exact.slice(end)) ? cut : value.toFixed(decimals);
}

/** As `%.*g`. */
export function general(value, digits = 4) {
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  const exponent = Number(power);
  if (exponent >= -4 && exponent < digits) return trimmed(fixed(value, digits - 1 - exponent));
  return `${trimmed(mantissa)}e${power[0]}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

export function percent(fraction, digits = 2) {
  return `${fixed(100 * fraction, digits)} %`;
}

function trimmed(digits) {
  return digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
}
