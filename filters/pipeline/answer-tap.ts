import { Bytes } from "../sdk";

/** Sees what the client gets of an answer's body, in its order and at once: what is filtered out is not in it, and what a stage makes wait is. */
export abstract class AnswerTap {
  /** Borrowed until it returns. */
  abstract pass(bytes: Bytes): void;
}
