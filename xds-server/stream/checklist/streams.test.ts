import { expect } from "vitest";
import { TypeUrl } from "../../../protos/index.ts";
import { MAX_OUTSTANDING, MAX_RESOURCE_NAME_LENGTH, MAX_RESOURCE_NAMES } from "../limits.ts";
import { ALL, both, delta, oneOfEach, sotw, two } from "./checklist.ts";
import { snapshot } from "./test-client.ts";

both("a request without type_url is refused", (connect, variant) => {
  const client = connect(two);
  const request = { typeUrl: "", versionInfo: "", resourceNames: [], responseNonce: "" };
  const inDelta = { typeUrl: "", subscribe: [], unsubscribe: [], initialVersions: new Map(), responseNonce: "" };
  expect(client.session.receive((variant === "sotw" ? request : inDelta) as never, 0)).toMatchObject({
    kind: "violation",
    code: "INVALID_ARGUMENT",
  });
});

both("a service of one type takes a missing type_url as that type, and refuses another", (connect) => {
  const client = connect(two, { onlyType: TypeUrl.endpoints });
  expect(client.request("CDS", [])).toMatchObject({ kind: "violation", code: "INVALID_ARGUMENT" });
  expect(client.subscribe("EDS", "a")).toEqual(["EDS a@1"]);
  client.store("EDS").pending.length = 0;
  const unnamed = { versionInfo: "", resourceNames: ["b"], subscribe: ["b"], unsubscribe: [] };
  const outcome = client.session.receive(
    { ...unnamed, typeUrl: "", initialVersions: new Map(), responseNonce: [...client.nonces][0] } as never,
    0,
  );
  expect(outcome.kind).toBe("ack");
  expect(client.read()).toEqual(["EDS b@1"]);
});

both("an unknown type_url leaves the stream as it is", (connect) => {
  const client = connect(two);
  const request = { versionInfo: "", resourceNames: [], subscribe: [], unsubscribe: [], responseNonce: "" };
  const unknown = { ...request, typeUrl: "type.googleapis.com/x.Y", initialVersions: new Map() };
  expect(client.session.receive(unknown as never, 0)).toEqual({ kind: "unknown-type" });
  expect(client.session.watches.size).toBe(0);
  expect(client.subscribe("CDS")).toEqual(["CDS a@1 b@1"]);
});

both("too many names and names that are too long are refused", (connect) => {
  const many = Array.from({ length: MAX_RESOURCE_NAMES + 1 }, (_, index) => `n${index}`);
  expect(connect(two).request("EDS", many)).toMatchObject({ kind: "violation", code: "RESOURCE_EXHAUSTED" });
  const long = "x".repeat(MAX_RESOURCE_NAME_LENGTH + 1);
  expect(connect(two).request("EDS", [long])).toMatchObject({ kind: "violation", code: "INVALID_ARGUMENT" });
});

delta("names are counted over all requests of the stream, and so are the answers that are owed", (connect) => {
  const names = (from: number, count: number) => Array.from({ length: count }, (_, index) => `n${from + index}`);
  const client = connect(two);
  expect(client.request("EDS", names(0, MAX_RESOURCE_NAMES)).kind).toBe("subscribe");
  expect(client.request("EDS", ["more"])).toMatchObject({ code: "RESOURCE_EXHAUSTED" });

  const cycling = connect(two);
  cycling.request("CDS", ["*", ...names(0, 12_000)]);
  cycling.request(
    "CDS",
    names(0, 12_000).map((name) => `-${name}`),
  );
  expect(cycling.request("CDS", names(12_000, 12_000))).toMatchObject({ code: "RESOURCE_EXHAUSTED" });
});

both("every response has a nonce of its own, over all types", (connect) => {
  const client = connect(oneOfEach(1));
  for (const type of ALL) client.subscribe(type, "x");
  client.ack(...ALL);
  client.publish(oneOfEach(2));
  expect(client.responses).toBe(2 * ALL.length - 1);
  expect(client.nonces.size).toBe(client.responses);
});

both("an ACK is not answered", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  expect(client.ack("CDS")).toEqual([]);
});

both("nothing is sent for an unchanged snapshot, nor for a change of what is not subscribed", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a");
  client.ack("EDS");
  expect(client.publish(snapshot("CDS:a@1", "CDS:b@1", "EDS:a@1", "EDS:b@1"))).toEqual([]);
  expect(client.publish(snapshot("CDS:a@2", "CDS:b@1", "EDS:a@1", "EDS:b@2"))).toEqual([]);
});

sotw("a request with a stale nonce is dropped, and its names come with the next ACK", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a");
  const [old] = client.nonces;
  client.ack("EDS");
  client.publish(snapshot("EDS:a@2", "EDS:b@1"));
  expect(client.request("EDS", ["b"], { nonce: old as string }).kind).toBe("stale");
  expect(client.read()).toEqual([]);
  expect(client.ack("EDS")).toEqual(["EDS b@1"]);
});

delta("a request with a stale nonce counts for its subscriptions", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a");
  const [old] = client.nonces;
  client.ack("EDS");
  client.publish(snapshot("EDS:a@2", "EDS:b@1"));
  expect(client.request("EDS", ["b"], { nonce: old as string }).kind).toBe("stale");
  expect(client.read()).toEqual(["EDS b@1"]);
  expect(client.request("EDS", ["-b"], { nonce: "never sent" }).kind).toBe("stale");
  expect(client.ack("EDS")).toEqual([]);
  expect(client.publish(snapshot("EDS:a@2", "EDS:b@2"))).toEqual([]);
});

both("a stale NACK is dropped", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  const [old] = client.nonces;
  client.ack("CDS");
  client.publish(snapshot("CDS:a@2", "CDS:b@1"));
  expect(client.request("CDS", [], { nonce: old as string, error: "bad" }).kind).toBe("stale");
  expect(client.session.watches.get(TypeUrl.cluster)?.nack).toBeUndefined();
  expect(client.ack("CDS")).toEqual([]);
});

both("one response of a type is on its way, and then only the newest state is sent", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a", "b");
  for (const version of [2, 3, 4]) expect(client.publish(snapshot(`EDS:a@${version}`, "EDS:b@1"))).toEqual([]);
  expect(client.ack("EDS")).toEqual(["EDS a@4"]);
});

both("what changes and changes back while a response is on its way is not sent", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a", "b");
  client.publish(snapshot("EDS:a@2"));
  client.publish(snapshot("EDS:a@1", "EDS:b@1"));
  expect(client.ack("EDS")).toEqual([]);
});

both("a resource that came and went before it was sent is never heard of", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.publish(snapshot("CDS:a@1", "CDS:b@1", "CDS:c@1"));
  client.publish(two);
  expect(client.ack("CDS")).toEqual([]);
});

delta("subscriptions are answered while a response is on its way, changes are not", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a");
  expect(client.subscribe("EDS", "b")).toEqual(["EDS b@1"]);
  client.session.publish(snapshot("EDS:a@2", "EDS:b@1", "EDS:c@1"));
  expect(client.subscribe("EDS", "c")).toEqual(["EDS c@1"]);
  expect(client.ack("EDS", "EDS")).toEqual([]);
  expect(client.ack("EDS")).toEqual(["EDS a@2"]);
});

delta("a client that never answers gets a bounded number of responses", (connect) => {
  const client = connect(two);
  for (let index = 0; index < MAX_OUTSTANDING + 10; index++) client.subscribe("EDS", `none${index}`);
  expect(client.responses).toBe(MAX_OUTSTANDING);
  const rest = Array.from({ length: 10 }, (_, index) => `-none${MAX_OUTSTANDING + index}`);
  expect(client.ack("EDS")).toEqual([`EDS ${rest.sort().join(" ")}`]);
});

delta("an older ACK says what the client has while a newer response is on its way", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a");
  client.session.publish(snapshot("EDS:a@2"));
  expect(client.subscribe("EDS", "a")).toEqual(["EDS a@2"]);
  client.ack("EDS");
  const watch = client.session.watches.get(TypeUrl.endpoints);
  expect(watch?.held.get("a")?.version).toBe("1");
  client.ack("EDS");
  expect(watch?.held.get("a")?.version).toBe("2");
});
