import { describe, expect, test } from "vitest";
import { type HeaderInput, Status, type Stream } from "../host/index.ts";
import { notesOf, requestHeaders, startFixture } from "./fixture.ts";

/** The fixture sets x-a, x-long-name and x-b to 0, 1 and 2 on the answer. */

const answered = async (headers: HeaderInput, op = "") => {
  const { host, plugin } = await startFixture("batch");
  const stream = plugin.exchange({ headers: requestHeaders(op) }, () => ({ headers }));
  return { host, stream };
};
const pairs = (stream: Stream) => stream.downstream.headers?.pairs();
const calls = (stream: Stream) =>
  stream.trace
    .map(({ name }) => name)
    .filter((name) => name.includes("header_map") && !name.includes("get_header_map_value"));
const set = [
  ["x-a", "0"],
  ["x-long-name", "1"],
  ["x-b", "2"],
];

describe("a batch of headers", () => {
  test("is written with two hostcalls, behind what is there, in its order and byte for byte", async () => {
    const there: [string, string][] = [
      [":status", "207"],
      ["set-cookie", "a=1; Path=/"],
      ["x-c", ""],
      ["set-cookie", "b=2"],
      ["x-bytes", "\u0080\u00ff\u00e4 \t,"],
      ["set-cookie", "a=1; Path=/"],
    ];
    const { stream } = await answered(there);
    expect(pairs(stream)).toEqual([...there, ...set]);
    expect(calls(stream)).toEqual(["proxy_get_header_map_pairs", "proxy_set_header_map_pairs"]);
    expect(notesOf(stream)).toEqual(["0"]);
  });

  test("takes the place of all values that its names had, and of no others", async () => {
    const { stream } = await answered([
      [":status", "200"],
      ["x-a", "old"],
      ["x-d", "same length"],
      ["x-b", "old"],
      ["x-a", "older"],
      ["x-long-nama", "same length"],
      ["x-a-b", "1"],
    ]);
    expect(pairs(stream)).toEqual([
      [":status", "200"],
      ["x-d", "same length"],
      ["x-long-nama", "same length"],
      ["x-a-b", "1"],
      ...set,
    ]);
  });

  test("begins anew with each map", async () => {
    const { plugin } = await startFixture("batch");
    for (const name of ["x-first", "x-second"]) {
      const there: [string, string][] = [
        [":status", "200"],
        [name, "v"],
      ];
      const stream = plugin.exchange({ headers: requestHeaders("") }, () => ({ headers: there }));
      expect(pairs(stream)).toEqual([...there, ...set]);
    }
  });

  const many = (count: number): [string, string][] => [
    [":status", "200"],
    ...Array.from({ length: count - 1 }, (_, i): [string, string] => [`x-${i}`, "v"]),
  ];

  test("leaves a map alone that would have more than 1,024 pairs, for Envoy would lose all of them", async () => {
    const most = await answered(many(1_021));
    expect(pairs(most.stream)).toEqual([...many(1_021), ...set]);
    const { stream } = await answered(many(1_022));
    expect(pairs(stream)).toEqual(many(1_022));
    expect(calls(stream)).toEqual(["proxy_get_header_map_pairs"]);
    expect(notesOf(stream)).toEqual(["nothing"]);
  });

  test("and one that would have more than a mebibyte", async () => {
    const there: [string, string][] = [[":status", "200"]];
    const { stream } = await answered(there, "large");
    expect(pairs(stream)).toEqual(there);
    expect(notesOf(stream)).toEqual([String(Status.BadArgument)]);
  });

  test("and one that is not there, or that the host does not show", async () => {
    const { stream } = await answered([[":status", "200"]], "absent");
    expect([pairs(stream), notesOf(stream)]).toEqual([[[":status", "200"]], [String(Status.BadArgument)]]);
    const { host, plugin } = await startFixture("batch");
    host.faults.inject({ call: "proxy_get_header_map_pairs", status: Status.InternalFailure });
    const other = plugin.exchange({ headers: requestHeaders("") }, () => ({ headers: [[":status", "200"]] }));
    expect([pairs(other), notesOf(other)]).toEqual([[[":status", "200"]], ["nothing"]]);
  });
});
