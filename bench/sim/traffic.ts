/** What users send, as data. Lengths are tokens, times ms, rates requests per second. */

export type Length =
  | number
  /** Log-normal; `sigma` is the standard deviation of the logarithm. */
  | { readonly mean: number; readonly sigma: number; readonly max: number }
  /** Log-uniform: every factor of ten equally likely. */
  | { readonly from: number; readonly to: number };

/** Whose system prompt a request begins with. App ranks are drawn by Zipf's law; exponent 0 is uniform. */
interface Apps {
  readonly apps: number;
  readonly exponent: number;
  readonly system: Length;
}

/** On and off in turns, both exponential; without it the rate is steady. */
export interface Bursts {
  readonly onMs: number;
  readonly offMs: number;
}

/** Different documents between the system prompt and the input, in any order. Drawn by Zipf's law. A document in another place, or behind other ones, is other text to a cache. */
export interface Documents {
  readonly count: number;
  readonly exponent: number;
  readonly length: Length;
  readonly perPrompt: number;
}

/** Open loop: Poisson arrivals, no matter how slow the answers are. */
export interface OpenTraffic extends Apps {
  readonly kind: "open";
  readonly rate: number;
  readonly bursts?: Bursts;
  /** Users of each app: the session of ring policies. */
  readonly users: number;
  /** `fixed`: a user always sends the same prompt; `fresh`: never twice. */
  readonly prompts: "fixed" | "fresh";
  readonly input: Length;
  readonly output: Length;
  readonly documents?: Documents;
}

/** Closed loop: each session sends a turn, reads the answer, thinks, sends the next with everything before; then a new conversation begins. */
export interface ChatTraffic extends Apps {
  readonly kind: "chat";
  readonly sessions: number;
  /** Mean number of turns, geometric; or a range, uniform. */
  readonly turns: number | { readonly from: number; readonly to: number };
  readonly input: Length;
  readonly output: Length;
  readonly thinkMs: number;
  /** Sessions come in over this time, ms. */
  readonly rampMs: number;
}

export type Traffic = OpenTraffic | ChatTraffic;
