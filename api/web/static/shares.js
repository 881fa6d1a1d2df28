// Shares in percent that add up to 100, whichever of them is moved.

/**
 * Shares where one version has `share`, and the others have the rest, as they had it before; where they had nothing,
 * the first of them has it all. A version that is alone keeps all.
 * @param {Record<string, number>} before
 * @param {string} version
 * @param {number} share whole percent, 0 to 100
 * @returns {Record<string, number>}
 */
export function sharesWith(before, version, share) {
  const others = Object.keys(before).filter((name) => name !== version);
  if (others.length === 0) return { [version]: 100 };
  const had = others.reduce((sum, name) => sum + before[name], 0);
  const rest = 100 - share;
  const exact = others.map((name, place) => (had ? (before[name] * rest) / had : place ? 0 : rest));
  const found = exact.map(Math.floor);
  // What rounding left goes to those who lost most by it.
  const losers = [...exact.keys()].sort((a, b) => found[a] - exact[a] - (found[b] - exact[b]));
  const left = rest - found.reduce((sum, value) => sum + value, 0);
  for (const place of losers.slice(0, left)) found[place] += 1;
  return { ...before, ...Object.fromEntries(others.map((name, place) => [name, found[place]])), [version]: share };
}
