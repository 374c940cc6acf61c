/** What the upstream does before its first event, and how many requests each of them gets. */

/** How long the replica of the profile takes to its first event: about what a fast model on an idle GPU shows for a short prompt. Uniform in mean ± jitter. */
export const replicaFirst = { millis: 25, jitter: 0.1 } as const;

export interface Profile {
  readonly name: "instant" | "replica";
  /** For the report. */
  readonly does: string;
  /** Value of x-bench-answer, by which the upstream knows what to do. */
  readonly answer: "sse" | "replica";
  /** Requests of each arm in a full run; fewer are a trial. */
  readonly requests: number;
  /** Requests of each arm that are not counted. */
  readonly warmUp: number;
}

/** In the order in which they run. The Envoys are the same ones, so the second finds connections and compiled code as the first left them. */
export const profiles: readonly Profile[] = [
  {
    name: "instant",
    does: "The upstream sends its first event at once: the worst case, because nothing hides what lies between.",
    answer: "sse",
    requests: 1_000,
    warmUp: 100,
  },
  {
    name: "replica",
    does: `The upstream sends its first event after ${replicaFirst.millis} ms ± ${replicaFirst.jitter * 100} %, drawn anew for each request: what a client of a fast replica sees.`,
    answer: "replica",
    requests: 500,
    warmUp: 20,
  },
];
