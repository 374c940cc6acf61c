/**
 * Which priority a request goes to: the lowest number, unless too few of its endpoints work; then a part of the requests goes to the next one, by the formula by which Envoy
 * spreads over priorities itself. So who is picked here agrees with where Envoy goes when nobody is.
 *
 *   health of a priority = least of 100 and 140 x healthy / all      in whole percent, degraded endpoints apart
 *   load = its health, of what the priorities before it left; scaled up where all healths together are under 100
 *   degraded endpoints, by priority, share what the healthy ones left
 *
 * Reference: Envoy, "Priority levels" and "Degraded endpoints", with its overprovisioning factor as by default.
 */

/** Priorities are below this. */
export const PRIORITIES: i32 = 128;
/** Percent by which the endpoints that work may stand in for those that do not. */
const OVERPROVISIONING: i32 = 140;
const WHOLE: i32 = 100;
const NOBODY: i32 = -1;

@final
export class PriorityLevels {
  /** Chosen; meaningless if nobody works. */
  priority: i32 = 0;
  degraded: bool = false;

  private readonly members: StaticArray<i32> = new StaticArray<i32>(PRIORITIES);
  private readonly healthy: StaticArray<i32> = new StaticArray<i32>(PRIORITIES);
  private readonly impaired: StaticArray<i32> = new StaticArray<i32>(PRIORITIES);
  private first: i32 = PRIORITIES;
  private last: i32 = NOBODY;

  begin(): void {
    for (let at = this.first; at <= this.last; at++) {
      unchecked((this.members[at] = 0));
      unchecked((this.healthy[at] = 0));
      unchecked((this.impaired[at] = 0));
    }
    this.first = PRIORITIES;
    this.last = NOBODY;
  }

  /** An endpoint of that priority: it may be used as one that is healthy, as one that is degraded, or not at all. */
  @inline
  add(priority: i32, usable: bool, degraded: bool): void {
    unchecked(this.members[priority]++);
    if (usable && degraded) unchecked(this.impaired[priority]++);
    else if (usable) unchecked(this.healthy[priority]++);
    this.first = min(this.first, priority);
    this.last = max(this.last, priority);
  }

  /** Chooses for a request that drew `draw`, any number. False when nobody may be used. O(priorities between the least and the greatest). */
  choose(draw: u64): bool {
    let total = 0;
    for (let at = this.first; at <= this.last; at++) total += this.health(at, false) + this.health(at, true);
    if (total == 0) return false;
    total = min(total, WHOLE);
    const place = <i32>(draw % <u64>WHOLE) + 1;
    let reached = this.walk(false, 0, place, total);
    if (reached >= place) return true;
    reached = this.walk(true, reached, place, total);
    // What rounding left is the first one's.
    return reached >= place || this.walk(false, 0, 1, total) > 0 || this.walk(true, 0, 1, total) > 0;
  }

  /** Gives loads to the priorities in turn, from `reached` on, up to the one that has `place`. Returns how far it came. */
  private walk(degraded: bool, reached: i32, place: i32, total: i32): i32 {
    for (let at = this.first; at <= this.last; at++) {
      const load = min(WHOLE - reached, (this.health(at, degraded) * WHOLE) / total);
      reached += load;
      if (load == 0 || reached < place) continue;
      this.priority = at;
      this.degraded = degraded;
      return reached;
    }
    return reached;
  }

  @inline
  private health(priority: i32, degraded: bool): i32 {
    const all = unchecked(this.members[priority]);
    const usable = degraded ? unchecked(this.impaired[priority]) : unchecked(this.healthy[priority]);
    return all == 0 ? 0 : min(WHOLE, (OVERPROVISIONING * usable) / all);
  }
}
