/** What the probe keeps from one callback to the next. */

export class Stream {
  constructor(public id: u32, public root: u32) {}
  scenario: string = "";
  chunks: i32 = 0;
}

class State {
  /** Stream that a tick or a callout answer is about; one at a time is enough for a scenario. */
  waiting: u32 = 0;
  waitingScenario: string = "";
  queueId: u32 = 0;
  queueScenario: string = "";
  /** The host refuses calls while it takes memory. */
  restricted: bool = false;
}

export const state = new State();
