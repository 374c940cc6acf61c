/** Rules, and requests under them, of which tests of token-rate-limit are made. */

export const limit = (amount: number, unit = "tokens", per = "minute", more: object = {}) => ({
  unit,
  amount,
  per,
  ...more,
});

/** A rule for each team. */
export const rule = (limits: object[], more: object = {}) => ({
  name: "team",
  key: [{ header: "x-team" }],
  limits,
  ...more,
});

/** A configuration of one rule. */
export const one = (...limits: object[]) => ({ rules: [rule(limits)] });

/** Headers of a call of that team. */
export const team = (name: string): [string, string][] => [["x-team", name]];

/** Asks for at most `max` tokens; its prompt of 40 bytes is estimated at 10. */
export const call = (max: number, more: object = {}) => ({
  model: "m",
  messages: [{ role: "user", content: "x".repeat(40) }],
  max_tokens: max,
  ...more,
});

/** What the prompt of a call is estimated at. */
export const PROMPT = 10;
