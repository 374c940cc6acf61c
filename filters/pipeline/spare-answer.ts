import { Bytes } from "../sdk";

/** A whole answer that a client gets in place of a failure. */
export abstract class SpareAnswer {
  /** There is one indeed. The others below are called only then, and but for `body` in the same callback. */
  abstract ready(): bool;

  /** Changes the headers of the failed answer into its own; :status, content-type and content-length too. */
  abstract writeHeaders(): void;

  /** Borrowed until the callback returns. Behind `writeHeaders`, maybe in a later callback. */
  abstract body(): Bytes;

  /** Answers with it, where the failed answer has headers only. */
  abstract send(): void;
}
