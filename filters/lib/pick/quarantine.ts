/**
 * Which endpoints fail, and are left alone for a while: one second after the first failure, twice as long after each further one.
 *
 * When the time is over the endpoint is on probation: one request at a time, until one is answered. Requests that were sent before a quarantine began tell
 * nothing new when they fail, and nothing about now when they succeed: `episode` of the ticket says which those are. The first byte of an answer ends
 * probation, because answers take minutes; only a whole answer makes the next quarantine short again.
 *
 * Workers tell each other when a quarantine ends, and each tries the endpoint out for itself.
 */

/** From here on every quarantine is as long as the longest. */
const MOST_FAILURES: i32 = 31;

@final
export class Quarantine {
  private readonly until: StaticArray<i64>;
  /** Failures in a row, one for each episode. */
  private readonly level: StaticArray<i32>;
  private readonly shut: StaticArray<bool>;
  private readonly probed: StaticArray<bool>;
  private readonly episodes: StaticArray<u32>;

  constructor(
    capacity: i32,
    private readonly firstMs: i64,
    private readonly mostMs: i64,
  ) {
    this.until = new StaticArray<i64>(capacity);
    this.level = new StaticArray<i32>(capacity);
    this.shut = new StaticArray<bool>(capacity);
    this.probed = new StaticArray<bool>(capacity);
    this.episodes = new StaticArray<u32>(capacity);
  }

  /** A new endpoint is in the slot. */
  reset(slot: i32): void {
    this.until[slot] = 0;
    this.level[slot] = 0;
    this.shut[slot] = false;
    this.probed[slot] = false;
    this.episodes[slot]++;
  }

  /** May be chosen: not quarantined, and nobody else is trying it out. */
  @inline
  admits(slot: i32, now: i64): bool {
    if (!unchecked(this.shut[slot])) return true;
    return now >= unchecked(this.until[slot]) && !unchecked(this.probed[slot]);
  }

  /** Failed, and not answered since. */
  onProbation(slot: i32): bool {
    return this.shut[slot];
  }

  /** ms until which nobody is sent there; 0 when it is not quarantined. */
  endOf(slot: i32): i64 {
    return this.shut[slot] ? this.until[slot] : 0;
  }

  episode(slot: i32): u32 {
    return this.episodes[slot];
  }

  /** A request goes there. True: it is the one that tries the endpoint out. */
  enter(slot: i32): bool {
    if (!this.shut[slot] || this.probed[slot]) return false;
    this.probed[slot] = true;
    return true;
  }

  /** The request that tried it out is over, or went elsewhere. */
  leave(slot: i32, episode: u32): void {
    if (episode == this.episodes[slot]) this.probed[slot] = false;
  }

  /** A request of this episode failed. */
  fail(slot: i32, episode: u32, now: i64): void {
    if (episode != this.episodes[slot]) return;
    const level = this.level[slot];
    const time = level >= MOST_FAILURES ? this.mostMs : this.firstMs << (<i64>level);
    this.until[slot] = now + (time > this.mostMs ? this.mostMs : time);
    if (level < MOST_FAILURES) this.level[slot] = level + 1;
    this.shut[slot] = true;
    this.probed[slot] = false;
    this.episodes[slot]++;
  }

  /** Failures in a row. */
  failures(slot: i32): i32 {
    return this.level[slot];
  }

  /** Another worker quarantined it until `until`. What is known already, and what is over for us, is no news. */
  learn(slot: i32, until: i64, failures: i32): void {
    if (until <= this.until[slot]) return;
    this.until[slot] = until;
    this.level[slot] = max(this.level[slot], failures);
    this.shut[slot] = true;
    this.probed[slot] = false;
    this.episodes[slot]++;
  }

  /** An answer began. True: it ended probation. */
  answer(slot: i32, episode: u32): bool {
    if (episode != this.episodes[slot] || !this.shut[slot]) return false;
    this.shut[slot] = false;
    this.probed[slot] = false;
    return true;
  }

  /** An answer is complete. True: it ended probation. */
  succeed(slot: i32, episode: u32): bool {
    const ended = this.answer(slot, episode);
    if (episode == this.episodes[slot]) this.level[slot] = 0;
    return ended;
  }
}
