/** Bounds of DNS: what servers may say, and how long they are waited for. */

/** UDP payload that is asked for: fits into any path's MTU. https://www.dnsflagday.net/2020/ */
export const UDP_PAYLOAD_BYTES = 1_232;
/** Waiting for the first and for the second attempt over UDP, for each resolver, ms. */
export const UDP_TIMEOUTS_MS = [1_000, 2_000] as const;
/** From the connection to the whole answer over TCP, ms. */
export const TCP_TIMEOUT_MS = 3_000;
/** Packets that are not an answer to the question are passed over, up to so many: somebody floods the port. */
export const MAX_STRAY_PACKETS = 64;
/** Aliases that are followed from one name. */
export const MAX_ALIASES = 16;
/** Targets of the SRV records of one service that are looked up by themselves, and how many at one time. */
export const MAX_TARGETS = 1_000;
export const TARGETS_AT_ONCE = 8;
/** For an answer "none" that does not say how long it holds, seconds. */
export const NEGATIVE_TTL_S = 5;
/** Waiting times are longer by up to this part, so that servers with one configuration do not ask in step. */
export const TTL_JITTER = 0.1;
/** Attempts that must fail before a kind of record that never was there is left out of the answer. */
export const FAILURES_OF_UNSEEN_KIND = 3;
