/** Header maps: what is read, what is written, and memory that is not the module's. */
import type { Scenario } from "../scenario.ts";

export const headers: readonly Scenario[] = [
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
];
