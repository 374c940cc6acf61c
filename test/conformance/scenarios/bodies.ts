/** Bodies and trailers: buffered, streamed, rewritten, held. */
import type { Scenario } from "../scenario.ts";

export const bodies: readonly Scenario[] = [
  {
    name: "buffered",
    about: "while buffering, sizes are cumulative and reads past the end are cut, not refused",
    steps: [
      {
        chunks: ["12345678", "abcd"],
        awaits: ["request body 8 end 0", "request body 12 end 0"],
        expect: {
          facts: [
            "request body 8 end 0",
            "request body 12 end 0",
            "middle 0 5678, behind the end 0 , overlong 0 abcd",
            "overflow 0 ",
            "request body 12 end 1",
            "log",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "12345678abcd" },
        },
      },
    ],
  },
  {
    name: "streamed",
    about: "while streaming, each callback sees its chunk; headers are gone",
    steps: [
      {
        chunks: ["1234", "ab"],
        awaits: ["request body 4 end 0", "request body 2 end 0"],
        expect: {
          facts: [
            "request body 4 end 0",
            "late header 2 read 2 untouched",
            "request body 2 end 0",
            "late header 2 read 2 untouched",
            "request body 0 end 1",
            "late header 2 read 2 untouched",
            "log",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", headers: { "x-late": null }, body: "1234ab" },
        },
      },
    ],
  },
  {
    name: "rewrite",
    about: "set_buffer_bytes: prefix, prepend and append only",
    steps: [
      {
        chunks: ["ab", "cdef"],
        awaits: ["request body 2 end 0", "request body 6 end 0"],
        expect: {
          facts: [
            "request body 2 end 0",
            "request body 6 end 0",
            "request body 6 end 1",
            "middle 2",
            "prefix 0",
            "prepend 0",
            "append at the end 0",
            "append far behind 0",
            "content 0 <<ABcdef>>",
            "log",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", headers: { "content-length": "10" }, body: "<<ABcdef>>" },
        },
      },
    ],
  },
  {
    name: "dropped",
    about: "StopIterationNoBuffer throws the data away",
    steps: [
      {
        chunks: ["lost", "too"],
        awaits: ["request body 4 end 0", "request body 3 end 0"],
        expect: {
          facts: ["request body 4 end 0", "request body 3 end 0", "request body 0 end 1", "log", "done", "delete"],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
  {
    name: "overflow",
    about: "a body over the buffer limit is answered by Envoy with 413",
    steps: [
      {
        chunks: [40000, 40000],
        expect: {
          facts: ["response headers 0 413 end 0", "response body 17 end 1", "log", "done", "delete"],
          client: { status: 413, headers: { "content-type": "text/plain" }, body: "Payload Too Large" },
          upstream: null,
        },
      },
    ],
  },
  {
    name: "watermark",
    about: "StopIterationAndWatermark holds data without an answer",
    steps: [
      {
        chunks: [40000, 20000],
        expect: {
          facts: ["log", "done", "delete"],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "x".repeat(60000) },
        },
      },
    ],
  },
  {
    name: "response-buffered",
    about: "a response body is held, replaced and sent on",
    steps: [
      {
        expect: {
          facts: ["content 0 from a", "replace 0 length 0", "log", "done", "delete"],
          client: { status: 200, headers: { "content-length": null }, body: "rewritten" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
  {
    name: "stop-out-of-range",
    about: "an unknown headers status stops everything until continue_stream",
    steps: [
      {
        expect: {
          facts: ["call 0", "log", "done", "delete"],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
  {
    name: "hold-all",
    about: "a body far over 64 KiB that is held to its end arrives whole",
    steps: [
      {
        listener: "large",
        chunks: [60_000, 60_000, 60_000, 60_000],
        expect: {
          facts: ["log", "done", "delete"],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "x".repeat(240_000) },
        },
      },
    ],
  },
  {
    name: "hold-some",
    about: "the same when only its beginning is held",
    steps: [
      {
        listener: "large",
        chunks: [60_000, 60_000, 60_000, 60_000],
        expect: {
          facts: ["log", "done", "delete"],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "x".repeat(240_000) },
        },
      },
    ],
  },
  {
    name: "hold-late",
    about: "the same when holding begins late",
    steps: [
      {
        listener: "large",
        chunks: [60_000, 60_000, 60_000, 60_000],
        expect: {
          facts: ["log", "done", "delete"],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "x".repeat(240_000) },
        },
      },
    ],
  },
  {
    name: "late-write",
    about: "after a body callback let the headers go, writing them succeeds and does nothing",
    steps: [
      {
        chunks: ["1234", "ab"],
        awaits: ["request body 4 end 0", "request body 2 end 0"],
        expect: {
          facts: [
            "request body 4 end 0",
            "write 0 read 0 1",
            "request body 2 end 0",
            "write 0 read 0 1",
            "request body 0 end 1",
            "write 0 read 0 1",
            "log",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", headers: { "x-1": "1", "x-2": null, "x-3": null }, body: "1234ab" },
        },
      },
    ],
  },
  {
    name: "trailers",
    about: "trailers come while the body is held; letting them go lets everything go",
    steps: [
      {
        chunks: ["1234"],
        awaits: ["request body 4 end 0"],
        trailers: { "x-trailer": "t" },
        expect: {
          facts: [
            "request body 4 end 0",
            "trailers 1 0 t, held body 0 1234",
            "header 0 trailer 0",
            "log",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", headers: { "x-late": "1" }, body: "1234" },
        },
      },
    ],
  },
];
