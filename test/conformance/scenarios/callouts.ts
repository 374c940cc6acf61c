/** HTTP calls of the module. */
import type { Scenario } from "../scenario.ts";

export const callouts: readonly Scenario[] = [
  {
    name: "callout-errors",
    about: "callouts that cannot start, with token 0",
    steps: [
      {
        expect: {
          facts: [
            "unknown cluster 2 token 0",
            "no path 2 token 0",
            "negative timeout 2",
            "malformed pairs 2",
            "log",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
  {
    name: "callout",
    about: "the answer comes to the root; the stream is reached through the effective context",
    steps: [
      {
        expect: {
          facts: [
            "call 0",
            "answer headers true status 0 200 body 0 callout answer trailers 0",
            "before effective 2 untouched",
            "effective 0 0 GET",
            "continue 0",
            "log",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", headers: { "x-callout": "done" }, body: "" },
        },
      },
    ],
  },
  {
    name: "callout-refused",
    about: "no connection is an answer with status 503, not a failure",
    steps: [
      {
        expect: {
          facts: [
            "call 0",
            "answer headers true status 0 503 body not shown trailers 0",
            "before effective 2 untouched",
            "effective 0 0 GET",
            "continue 0",
            "log",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
  {
    name: "callout-timeout",
    about: "a timeout is an answer with status 504, not a failure",
    steps: [
      {
        expect: {
          facts: [
            "call 0",
            "answer headers true status 0 504 body not shown trailers 0",
            "before effective 2 untouched",
            "effective 0 0 GET",
            "continue 0",
            "log",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
];
