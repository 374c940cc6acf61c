/** Settings that take something from a module, and what a trap leaves: last, because it takes the VM with it. */
import type { Scenario } from "../scenario.ts";

export const failures: readonly Scenario[] = [
  {
    name: "flag-off",
    about: "without allow_on_headers_stop_iteration the body comes only after continue_stream, whole",
    steps: [
      {
        listener: "flag-off",
        chunks: ["hello"],
        expect: {
          facts: [
            "tick: header map size 0, total_size = headers + 5",
            "tick: add 0",
            "tick: continue 0",
            "tick: add after continue 2",
            "request body 5 end 1",
            "log",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", headers: { "x-late": "1", "x-too-late": null }, body: "hello" },
        },
      },
    ],
  },
  {
    name: "restricted",
    about:
      "most hostcalls trap inside the allocator; the module runs on until its callback returns, then the VM is dead",
    steps: [
      {
        listener: "restricted",
        last: "runs on with 6 untouched",
        expect: { facts: ["runs on with 6 untouched"], client: { status: 503, body: "" }, upstream: null },
      },
    ],
  },
  {
    name: "trap-closed",
    about: "FAIL_CLOSED: 503 from the trap on",
    steps: [
      {
        path: "trap",
        listener: "closed",
        last: "",
        expect: { facts: [], client: { status: 503, body: "" }, upstream: null },
      },
      {
        path: "order",
        listener: "closed",
        last: "",
        expect: { facts: [], client: { status: 503, body: "" }, upstream: null },
      },
    ],
  },
  {
    name: "trap-open",
    about: "FAIL_OPEN: the trapping request gets 503, later ones pass without the filter",
    steps: [
      {
        path: "trap",
        listener: "open",
        last: "",
        expect: { facts: [], client: { status: 503, body: "" }, upstream: null },
      },
      {
        path: "order",
        listener: "open",
        last: "",
        expect: { facts: [], client: { status: 200, body: "from a" }, upstream: { cluster: "a", body: "" } },
      },
    ],
  },
  {
    name: "trap-legacy-open",
    about: "fail_open: even the trapping request passes",
    steps: [
      {
        path: "trap",
        listener: "legacy-open",
        last: "",
        expect: { facts: [], client: { status: 200, body: "from a" }, upstream: { cluster: "a", body: "" } },
      },
      {
        path: "order",
        listener: "legacy-open",
        last: "",
        expect: { facts: [], client: { status: 200, body: "from a" }, upstream: { cluster: "a", body: "" } },
      },
    ],
  },
  {
    name: "trap-reload",
    about: "FAIL_RELOAD: a new VM after the backoff",
    steps: [
      {
        path: "trap",
        listener: "reload",
        last: "",
        expect: { facts: [], client: { status: 503, body: "" }, upstream: null },
      },
      {
        path: "order",
        listener: "reload",
        untilStatus: 200,
        expect: {
          facts: [
            "request headers end 1",
            "response headers 0 200 end 0",
            "response.code 0 200, write 0, request header 2 untouched",
            "response end, response.code 0 200, write 2",
            "log",
            "log request 0 GET response 0 200 missing trailers 1 untouched",
            "log write 22",
            "log response.code 0 200 details 0 via_upstream",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "" },
        },
      },
      {
        path: "order",
        listener: "reload",
        expect: {
          facts: [
            "request headers end 1",
            "response headers 0 200 end 0",
            "response.code 0 200, write 0, request header 2 untouched",
            "response end, response.code 0 200, write 2",
            "log",
            "log request 0 GET response 0 200 missing trailers 1 untouched",
            "log write 22",
            "log response.code 0 200 details 0 via_upstream",
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
