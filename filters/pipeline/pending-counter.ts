import { Metric } from "../sdk";

/** A counter, and what it has to be raised by on the next tick. */
@final
export class Pending {
  private amount: i64 = 0;

  constructor(private readonly metric: Metric) {}

  @inline
  add(amount: i64): void {
    this.amount += amount;
  }

  /** What the counter shows: what is pending is not in it. */
  get value(): u64 {
    return this.metric.value();
  }

  flush(): void {
    if (this.amount == 0) return;
    this.metric.add(this.amount);
    this.amount = 0;
  }
}
