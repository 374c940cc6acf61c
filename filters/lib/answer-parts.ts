/** Which choices, candidates or content blocks of an answer have begun, and which of them are finished. */

/** Indices from here on are not kept. */
export const MAX_ANSWER_PARTS: i32 = 128;

@final
export class AnswerParts {
  /** Parts that have begun, and those that are finished: a number for each state on the way. */
  changes: u32 = 0;

  private begunLow: u64 = 0;
  private begunHigh: u64 = 0;
  private finishedLow: u64 = 0;
  private finishedHigh: u64 = 0;

  reset(): void {
    this.begunLow = 0;
    this.begunHigh = 0;
    this.finishedLow = 0;
    this.finishedHigh = 0;
    this.changes = 0;
  }

  /** None has begun. */
  get empty(): bool {
    return (this.begunLow | this.begunHigh) == 0;
  }

  /** All that have begun are finished. */
  get finished(): bool {
    return this.begunLow == this.finishedLow && this.begunHigh == this.finishedHigh;
  }

  /** `index`: 0 to `MAX_ANSWER_PARTS` - 1, here and below. */
  begin(index: i32): void {
    if (!this.hasBegun(index)) this.changes++;
    if (index < 64) this.begunLow |= bit(index);
    else this.begunHigh |= bit(index);
  }

  /** Only one that has begun. */
  finish(index: i32): void {
    if (!this.hasFinished(index)) this.changes++;
    if (index < 64) this.finishedLow |= bit(index);
    else this.finishedHigh |= bit(index);
  }

  hasBegun(index: i32): bool {
    return ((index < 64 ? this.begunLow : this.begunHigh) & bit(index)) != 0;
  }

  hasFinished(index: i32): bool {
    return ((index < 64 ? this.finishedLow : this.finishedHigh) & bit(index)) != 0;
  }
}

@inline
function bit(index: i32): u64 {
  return (<u64>1) << (<u64>index & 63);
}
