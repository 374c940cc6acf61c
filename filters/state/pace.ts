/**
 * How often something may be done with a request: each time while requests are few, and once each `period` when they are many. What was not used is saved, for up to `most` in a row.
 *
 * Without what is saved, a request that comes right after a tick would not be told to the others before the next one; and requests that come together are just those that must know of each other.
 *
 * The generic cell rate algorithm of ITU-T I.371, as one number: when the next one would be due if they came evenly.
 */
@final
export class Pace {
  private due: i64 = i64.MIN_VALUE / 2;

  /** ms. */
  constructor(
    private readonly period: i64,
    private readonly most: i64,
  ) {}

  /** It may be done now, and counts as done. O(1). */
  take(now: i64): bool {
    const ahead = this.due - now;
    // More than can be owed: the clock was set back.
    const owed = ahead < 0 || ahead > this.period * this.most ? 0 : ahead;
    if (owed > this.period * (this.most - 1)) return false;
    this.due = now + owed + this.period;
    return true;
  }
}
