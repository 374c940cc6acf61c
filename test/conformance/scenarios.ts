/**
 * The conformance table: what is sent, and what Envoy does. Expectations were read off real Envoys and checked against
 * the sources; the rows that a filter's design depends on come first in each group. See scenario.ts for the form.
 */
import type { Scenario } from "./scenario.ts";

export const scenarios: readonly Scenario[] = [
  {
    name: "first-value",
    about: "a get of a repeated header sees the first value only; pairs show all",
    steps: [
      {
        headers: { "x-dup": ["a", "b"] },
        expect: {
          facts: ["value 0 a", "pairs 0 +a+b", "case 0 a", "log", "done", "delete"],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
  {
    name: "empty-header",
    about: "an empty value is OK with pointer and size 0; a missing header leaves the out parameters alone",
    steps: [
      {
        headers: { "x-empty": "" },
        expect: {
          facts: ["status 0 pointer 0 size 0", "missing 1 untouched", "log", "done", "delete"],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
  {
    name: "unavailable-map",
    about: "maps that do not exist yet: pairs are empty, everything else is BAD_ARGUMENT",
    steps: [
      {
        expect: {
          facts: [
            "1: value 2 untouched, pairs 0 0, size 2, add 2",
            "2: value 2 untouched, pairs 0 0, size 2, add 2",
            "3: value 2 untouched, pairs 0 0, size 2, add 2",
            "4: value 2 untouched, pairs 0 0, size 2, add 2",
            "5: value 2 untouched, pairs 0 0, size 2, add 2",
            "6: value 2 untouched, pairs 0 0, size 2, add 2",
            "7: value 2 untouched, pairs 0 0, size 2, add 2",
            "8: value 2 untouched, pairs 2 untouched, size 2, add 2",
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
    name: "header-writes",
    about: "names are lower-cased, replace and remove take every value, Envoy's fixed slots join values",
    steps: [
      {
        headers: { "x-dup": ["a", "b"], "x-twice": ["1", "2"], "user-agent": "probe" },
        expect: {
          facts: [
            "add 00",
            "added 0 +1+2",
            "replace 0 0 +new",
            "remove missing 0",
            "remove repeated 0 0 ",
            "add to a slot 0 0 +probe,more",
            "size 0 grows by 7",
            "log",
            "done",
            "delete",
          ],
          client: { status: 200, body: "from a" },
          upstream: {
            cluster: "a",
            headers: { "x-added": "1, 2", "x-dup": "new", "x-twice": null, "user-agent": "probe,more", "x-four": "5" },
            body: "",
          },
        },
      },
    ],
  },
  {
    name: "out-of-bounds",
    about: "pointers outside the memory and ids that do not exist are statuses, never crashes",
    steps: [
      {
        expect: {
          facts: [
            "log 6",
            "log level 9 2",
            "header key 6",
            "header out 6",
            "property 6",
            "shared 6",
            "reply 6",
            "metric 6",
            "effective 2",
            "continue 2 close 2",
            "done 1",
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
    name: "buffers-in-headers",
    about: "which buffers exist while only headers do; CallData is whatever was looked at last",
    steps: [
      {
        expect: {
          facts: [
            "0: bytes 0 , status 0 0, set 2",
            "1: bytes 0 , status 0 0, set 2",
            "2: bytes 0 , status 0 0, set 2",
            "3: bytes 0 , status 0 0, set 2",
            "4: bytes 1 untouched, status 1 untouched, set 1",
            "5: bytes 0 , status 0 0, set 2",
            "6: bytes 0 vm-text, status 0 7, set 2",
            "7: bytes 1 untouched, status 1 untouched, set 1",
            "8: bytes 0 vm-text, status 0 7, set 2",
            "9: bytes 2 untouched, status 2 untouched, set 2",
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
    name: "metrics",
    about: "a second definition is a second id of the same metric; an increment of 0 is refused",
    steps: [
      {
        expect: {
          facts: [
            "define 0",
            "again 0 same id false",
            "increment 00",
            "increment 0 2 -1 2",
            "value 5",
            "record 0",
            "value 10",
            "gauge 000",
            "value 4",
            "histogram record 0 increment 2 get 2",
            "unknown 111 type 3 2",
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
    name: "properties",
    about: "which properties exist in a request callback and how they are encoded",
    steps: [
      {
        headers: { "x-one": "1", "x-dup": ["a", "b"] },
        query: "?q=1",
        expect: {
          facts: [
            "request.path 0 /t/properties?q=1",
            "request.url_path 0 /t/properties",
            "request.method 0 GET",
            "request.headers 0 1",
            "request.headers repeated 0 a,b",
            "trailing separator 0 GET",
            "request.size 0 0",
            "request.query 0 q=1 host 0 conformance scheme 0 http protocol 0 HTTP/1.1 useragent 1 untouched",
            "request.duration 1 untouched request.time true",
            "connection.mtls size 3 upstream.address 1 untouched",
            "source.address has port true",
            "connection_id size true",
            "plugin_name 0 probe-main root 0 probe-root vm 0 main",
            "node.id 1 untouched xds.node.id 0 conformance-node",
            "listener_direction 1 untouched",
            "response.code 1 untouched",
            "unknown 1 untouched",
            "empty path 3 untouched",
            "set 0 get 0 kept",
            "set deep 0 get 1 untouched",
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
    name: "shared-data",
    about: "compare-and-swap rules; 0 writes unconditionally; an empty value keeps its key",
    steps: [
      {
        expect: {
          facts: [
            "missing 1 out untouched",
            "insert with cas 77 0",
            "get 0 one",
            "wrong cas 8",
            "right cas 0",
            "stale cas 8",
            "cas 0 0",
            "empty 0 pointer 0 size 0",
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
    name: "queue",
    about: "items announce themselves to the registered root; an empty queue is EMPTY",
    steps: [
      {
        last: "ready: dequeue again 7",
        elsewhere: "ready: ",
        expect: {
          facts: [
            "register 0",
            "register again 0 same id true",
            "resolve 0 same id true",
            "resolve missing 1 out untouched",
            "dequeue empty 7 unknown 1",
            "enqueue unknown 1",
            "enqueue 0",
            "log",
            "done",
            "delete",
            "ready: same id true, dequeue 0 item",
            "ready: dequeue again 7",
          ],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
  {
    name: "foreign",
    about: "statuses of Envoy's foreign functions given garbage",
    steps: [
      {
        expect: {
          facts: [
            "unknown 1 size untouched",
            "clear_route_cache 0 size 0",
            "compress 0 ",
            "uncompress garbage 3 ",
            "set_envoy_filter_state garbage 2 size 0",
            "declare_property garbage 2 size 0",
            "verify_signature garbage 2 size 0",
            "expr_create garbage 2 size 0",
            "expr_evaluate garbage 2 size 0",
            "expr_delete garbage 2 size 0",
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
    name: "foreign-sign",
    about: "the foreign function that came with Envoy 1.37",
    steps: [
      {
        expect: {
          facts: ["sign garbage 2 size 0", "log", "done", "delete"],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
  {
    name: "log-level",
    about: "the level is the one of Envoy's wasm logger",
    steps: [
      {
        expect: {
          facts: ["status 0 level 2", "log", "done", "delete"],
          client: { status: 200, body: "from a" },
          upstream: { cluster: "a", body: "" },
        },
      },
    ],
  },
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
