import { describe, expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import { addresses, PickerHost, poolOf, say, topic } from "./picker-driver.ts";

/** Hostcalls of a 4 KB chat and its answer, one by one; four of them are the picker's. */

const calls = (stream: Stream) =>
  stream.trace.map(({ name, during }) => `${during.replace("proxy_on_", "")}: ${name.replace("proxy_", "")}`);

const prefix = "request_body: replace_header_map_value";
const chat = [
  "request_headers: get_header_map_pairs",
  "request_body: get_buffer_bytes",
  "request_body: get_current_time_nanoseconds",
];
const header = "request_body: replace_header_map_value";
const answer = [
  "response_headers: get_property",
  "response_headers: get_property",
  "response_body: get_buffer_bytes",
  "response_body: get_current_time_nanoseconds",
];

const warm = say(topic("warm", 4_000));

describe("hostcalls of a 4 KB chat with its answer", () => {
  it.each([
    ["prefix-affinity", [prefix]],
    ["consistent-hash", [prefix]],
    ["least-request", []],
    ["weighted-round-robin", []],
  ] as const)("with %s", async (policy, prefixes) => {
    const host = await PickerHost.start({ pools: [poolOf(8, { policy })] });
    host.answer(host.ask(warm));
    expect(calls(host.answer(host.ask(warm)))).toEqual([...chat, ...prefixes, header, ...answer]);
  });

  it("are one more than those of a filter that looks at nothing, without endpoints: only the prefix is written", async () => {
    const host = await PickerHost.start({ pools: [{ name: "models" }] });
    expect(calls(host.answer(host.ask(warm), { from: addresses(1)[0] as string }))).toEqual([
      ...chat,
      prefix,
      "response_body: get_buffer_bytes",
      "response_body: get_current_time_nanoseconds",
    ]);
  });

  it("grow by a look at each other worker that is busy, and one for them to see, but not for each of many requests", async () => {
    const host = await PickerHost.start({ pools: [poolOf(8)] }, { workers: 4 });
    const held = [0, 1, 2, 3].map((worker) => host.ask(warm, [], worker));
    host.host.advance(100);
    const looks = Array(3).fill("request_body: get_shared_data");
    const first = host.answer(host.ask(warm, [], 1));
    expect(calls(first)).toEqual([...chat, ...looks, "request_body: set_shared_data", prefix, header, ...answer]);
    // Who comes in the same millisecond knows what the others have, and up to eight in a row are told of.
    for (let nth = 2; nth <= 8; nth++) {
      const further = host.answer(host.ask(warm, [], 1));
      expect(calls(further)).toEqual([...chat, "request_body: set_shared_data", prefix, header, ...answer]);
    }
    const ninth = host.answer(host.ask(warm, [], 1));
    expect(calls(ninth)).toEqual([...chat, prefix, header, ...answer]);
    for (const other of held) host.answer(other);
  });
});
