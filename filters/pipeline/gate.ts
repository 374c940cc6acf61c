/**
 * The way of one request and of its answer, for a stage that has stopped one of them and goes on later: on a tick, or when a callout was answered.
 *
 * Valid as long as the stream is; a stage forgets it in `onEnd`.
 */
export abstract class Gate {
  /** One stage less holds the request; without any it goes on. */
  abstract release(): void;

  /**
   * The stage that said `Verdict.Wait` waits no more: the next one is asked. Headers and body may be changed before, by hostcalls; places in the body are found anew.
   */
  abstract proceed(): void;

  /** A held request goes where the caller has pointed it, as with `Verdict.Diverted`. False when that cannot be done any more. */
  abstract divert(): bool;

  /** It is the effective one. False when nobody holds it any more. For changes of its headers before `divert`. */
  abstract focus(): bool;

  /** Takes a held request out of its way, so that the caller can answer it. False when that cannot be done any more. */
  abstract take(): bool;

  /** Lets pass what was held of the answer. */
  abstract resumeAnswer(): void;
}
