/** What the host keeps for modules: metrics, properties, shared data, queues, foreign functions, the log. */
import type { Scenario } from "../scenario.ts";

export const hostServices: readonly Scenario[] = [
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
];
