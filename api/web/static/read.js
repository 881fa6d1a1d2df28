// Asks the API; an answer that is an error is thrown with the sentence of its problem details.

const ANSWER_MS = 5000;

/**
 * @param {string} address
 * @returns {Promise<any>}
 */
export async function getJson(address) {
  const answer = await fetch(address, { cache: "no-cache", signal: AbortSignal.timeout(ANSWER_MS) });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail ?? `The server answered ${answer.status}.`);
  return body;
}

/**
 * Why an answer did not come, as a sentence.
 * @param {any} error
 * @returns {string}
 */
export function reason(error) {
  if (error.name === "TimeoutError") return "The server does not answer.";
  if (error instanceof TypeError) return "The server cannot be reached.";
  return error.message;
}
