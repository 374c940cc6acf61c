/** Routes that are picked anew, the order of callbacks, and how streams end. */
import type { Scenario } from "../scenario.ts";

export const lifecycle: readonly Scenario[] = [
  {
    name: "route",
    about: "a changed request header picks the route again without a further call",
    steps: [
      {
        expect: {
          facts: ["pick 0", "log", "done", "delete"],
          client: { status: 200, body: "from b" },
          upstream: { cluster: "b", headers: { "x-pick": "b" }, body: "" },
        },
      },
    ],
  },
  {
    name: "route-in-body",
    about: "the same from the body callback, while the headers are held",
    steps: [
      {
        chunks: ["model"],
        expect: {
          facts: ["request body 5 end 0", "request body 5 end 1", "pick 0", "log", "done", "delete"],
          client: { status: 200, body: "from b" },
          upstream: { cluster: "b", headers: { "x-pick": "b" }, body: "model" },
        },
      },
    ],
  },
  {
    name: "order",
    about: "callbacks of an exchange, and that logging comes before done",
    steps: [
      {
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
          client: { status: 200, headers: { "x-probe": "1", "x-late": null }, body: "from a" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
  {
    name: "order-post",
    about: "the same with a body",
    steps: [
      {
        path: "order",
        chunks: ["x"],
        expect: {
          facts: [
            "request headers end 0",
            "response headers 0 200 end 0",
            "response.code 0 200, write 0, request header 2 untouched",
            "response end, response.code 0 200, write 2",
            "log",
            "log request 0 POST response 0 200 missing trailers 1 untouched",
            "log write 22",
            "log response.code 0 200 details 0 via_upstream",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "x" },
        },
      },
    ],
  },
  {
    name: "abort",
    about: "a client that goes away: log, done, delete and nothing else",
    steps: [
      {
        abortAfter: "request headers end 1",
        expect: { facts: ["request headers end 1", "log", "done", "delete"], client: "reset", upstream: null },
      },
    ],
  },
  {
    name: "close",
    about: "close_stream resets the stream",
    steps: [{ expect: { facts: ["close 0", "log", "done", "delete"], client: "reset", upstream: null } }],
  },
];
