import { expect } from "vitest";
import { TypeUrl } from "../../../protos/index.ts";
import { both, delta, sotw, two } from "./checklist.ts";
import { snapshot } from "./test-client.ts";

delta("what the client has in the same version is not sent, for wildcards and names", (connect) => {
  const client = connect(two);
  expect(client.reconnect("EDS", ["a", "b"], ["a@1", "b@1"])).toEqual([]);
  expect(client.reconnect("CDS", [], ["a@1", "b@1"])).toEqual([]);
  expect(client.publish(snapshot("CDS:a@1", "CDS:b@2", "EDS:a@2", "EDS:b@1"))).toEqual(["CDS b@2", "EDS a@2"]);
});

delta("what changed or came is sent, what is gone is told", (connect) => {
  const client = connect(two);
  expect(client.reconnect("CDS", [], ["a@0", "c@1"])).toEqual(["CDS a@1 b@1 -c"]);
  expect(client.reconnect("EDS", ["a", "b", "c"], ["a@1", "c@1"])).toEqual(["EDS b@1"]);
  // Endpoints go after their cluster, whose removal is not answered yet.
  expect(client.ack("CDS", "EDS")).toEqual(["EDS -c"]);
  client.ack("EDS");
  expect(client.has("CDS")).toBe("a@1 b@1");
  expect(client.has("EDS")).toBe("a@1 b@1");
});

delta("versions count in the first request only", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a");
  client.ack("EDS");
  client.request("EDS", ["b"], { has: ["b@1"] });
  expect(client.read()).toEqual(["EDS b@1"]);
});

delta("versions of what is not asked for are ignored", (connect) => {
  const client = connect(two);
  expect(client.reconnect("EDS", ["a"], ["a@1", "b@1", "c@1"])).toEqual([]);
});

sotw("everything is answered, whatever version the client says it has, and changes flow", (connect) => {
  const client = connect(two);
  expect(client.reconnect("CDS", [], [], "of another server")).toEqual(["CDS a@1 b@1"]);
  expect(client.reconnect("EDS", ["a"], [], two.types.get(TypeUrl.endpoints)?.version)).toEqual(["EDS a@1"]);
  client.ack("CDS", "EDS");
  expect(client.subscribe("EDS", "b")).toEqual(["EDS b@1"]);
  client.ack("EDS");
  expect(client.publish(snapshot("CDS:a@1", "CDS:b@1", "EDS:a@2", "EDS:b@1"))).toEqual(["EDS a@2"]);
});

sotw("endpoints are not repeated behind clusters that the client has", (connect) => {
  const client = connect(two);
  client.subscribe("EDS", "a", "b");
  client.ack("EDS");
  expect(client.reconnect("CDS", [], [], two.types.get(TypeUrl.cluster)?.version)).toEqual(["CDS a@1 b@1"]);
  expect(client.carried).toBe(4);
});

both("two streams of one node are independent", (connect) => {
  const [one, other] = [connect(two), connect(two)];
  for (const client of [one, other]) client.subscribe("EDS", "a");
  one.ack("EDS");
  expect(one.publish(snapshot("EDS:a@2"))).toEqual(["EDS a@2"]);
  expect(other.publish(snapshot("EDS:a@2"))).toEqual([]);
  expect(other.ack("EDS")).toEqual(["EDS a@2"]);
});
