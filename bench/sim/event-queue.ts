/** Actions in order of their instant; those of the same instant in the order in which they were added. Binary heap. */
export class EventQueue {
  private readonly times: number[] = [];
  private readonly orders: number[] = [];
  private readonly actions: (() => void)[] = [];
  private added = 0;
  /** Instant of the action that runs or ran last, ms. */
  now = 0;

  at(time: number, action: () => void): void {
    let index = this.times.length;
    const order = this.added++;
    this.times.push(time);
    this.orders.push(order);
    this.actions.push(action);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.before(parent, index)) break;
      this.swap(parent, index);
      index = parent;
    }
  }

  after(delay: number, action: () => void): void {
    this.at(this.now + delay, action);
  }

  /** Calls `action` at `first` and then once per `period`, for as long as the queue runs. */
  every(period: number, first: number, action: () => void): void {
    this.at(first, () => {
      action();
      this.every(period, first + period, action);
    });
  }

  /** Runs everything before `end`, then sets the clock to it. */
  runUntil(end: number): void {
    while (this.times.length > 0 && (this.times[0] ?? end) < end) {
      this.now = this.times[0] ?? end;
      this.takeFirst()?.();
    }
    this.now = end;
  }

  private takeFirst(): (() => void) | undefined {
    this.swap(0, this.times.length - 1);
    this.times.pop();
    this.orders.pop();
    const action = this.actions.pop();
    const size = this.times.length;
    let index = 0;
    for (;;) {
      let least = index;
      for (let child = 2 * index + 1; child <= 2 * index + 2 && child < size; child++) {
        if (!this.before(least, child)) least = child;
      }
      if (least === index) return action;
      this.swap(index, least);
      index = least;
    }
  }

  private before(a: number, b: number): boolean {
    const [timeA = 0, timeB = 0] = [this.times[a], this.times[b]];
    return timeA < timeB || (timeA === timeB && (this.orders[a] ?? 0) < (this.orders[b] ?? 0));
  }

  private swap(a: number, b: number): void {
    swapIn(this.times, a, b);
    swapIn(this.orders, a, b);
    swapIn(this.actions, a, b);
  }
}

function swapIn<T>(list: T[], a: number, b: number): void {
  const kept = list[a] as T;
  list[a] = list[b] as T;
  list[b] = kept;
}
