/** Answers of the module, where they may come from and what becomes of their headers. */
import type { Scenario } from "../scenario.ts";

export const localReplies: readonly Scenario[] = [
  {
    name: "local-reply",
    about: "a local reply passes through the response callbacks of its own filter",
    steps: [
      {
        expect: {
          facts: [
            "respond 0",
            "response headers 0 429 end 0",
            "response.code 0 429 details 0 probe_says_so",
            "response body 9 end 1",
            "log",
            "done",
            "delete",
          ],
          client: {
            status: 429,
            headers: { "x-probe": "yes", "content-type": "application/json", "content-length": "9" },
            body: "slow down",
          },
          upstream: null,
        },
      },
    ],
  },
  {
    name: "local-reply-pass",
    about: "and stops the iteration whatever the callback returns",
    steps: [
      {
        expect: {
          facts: ["respond 0", "response headers 0 429 end 0", "response body 9 end 1", "log", "done", "delete"],
          client: { status: 429, body: "slow down" },
          upstream: null,
        },
      },
    ],
  },
  {
    name: "local-reply-no-body",
    about: "without a body there is no body callback and no content type",
    steps: [
      {
        expect: {
          facts: ["respond 0", "response headers 0 429 end 1", "log", "done", "delete"],
          client: { status: 429, headers: { "x-probe": "yes", "content-type": null }, body: "" },
          upstream: null,
        },
      },
    ],
  },
  {
    name: "local-reply-in-response",
    about: "a local reply from response headers replaces the response without callbacks",
    steps: [
      {
        expect: {
          facts: ["response headers 0 200 end 0", "respond 0", "log", "done", "delete"],
          client: { status: 502, headers: { "x-cluster": null }, body: "instead" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
  {
    name: "reply-in-body",
    about: "a local reply from a body callback",
    steps: [
      {
        chunks: ["x"],
        expect: {
          facts: [
            "request body 1 end 0",
            "respond 0",
            "response headers 0 403 end 0",
            "response body 2 end 1",
            "log",
            "done",
            "delete",
          ],
          client: { status: 403, body: "no" },
          upstream: null,
        },
      },
    ],
  },
  {
    name: "reply-in-tick",
    about: "a local reply from a tick, through the effective context",
    steps: [
      {
        listener: "guard",
        expect: {
          facts: ["tick: respond 0", "response headers 0 418 end 0", "response body 4 end 1", "log", "done", "delete"],
          client: { status: 418, body: "tick" },
          upstream: null,
        },
      },
    ],
  },
  {
    name: "malformed-pairs",
    about: "malformed pairs count as none and are no error",
    steps: [
      {
        expect: {
          facts: ["respond 0", "log", "done", "delete"],
          client: { status: 200, headers: { "content-type": "text/plain" }, body: "no headers" },
          upstream: null,
        },
      },
    ],
  },
  {
    name: "pairs-tail",
    about: "a byte too many voids all pairs",
    steps: [
      {
        expect: {
          facts: ["respond 0", "log", "done", "delete"],
          client: { status: 200, headers: { "x-probe": null }, body: "" },
          upstream: null,
        },
      },
    ],
  },
  {
    name: "pairs-unterminated",
    about: "so does a missing terminator",
    steps: [
      {
        expect: {
          facts: ["respond 0", "log", "done", "delete"],
          client: { status: 200, headers: { "x-probe": null }, body: "" },
          upstream: null,
        },
      },
    ],
  },
  {
    name: "pairs-too-many",
    about: "and more than 1024 of them",
    steps: [
      {
        expect: {
          facts: ["respond 0", "log", "done", "delete"],
          client: { status: 200, headers: { "x-probe": null }, body: "" },
          upstream: null,
        },
      },
    ],
  },
  {
    name: "reply-in-response-body",
    about: "once the response has begun, a local reply cuts it off",
    steps: [
      {
        expect: {
          facts: ["response headers 0 200 end 0", "response body 6 end 0", "respond 0", "log", "done", "delete"],
          client: "reset",
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
];
