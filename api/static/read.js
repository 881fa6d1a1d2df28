// Asks the API; an answer that is an error is thrown with the sentence of its problem details.

const ANSWER_MS = 5000;

export async function getJson(address) {
  const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail ?? `The server answered ${answer.status}.`);
  return body;
}

export function reason(error) {
  if (error.name === "TimeoutError") return "The server does not answer.";
  if (error instanceof TypeError) return "The server cannot be reached.";
  return error.message;
}
