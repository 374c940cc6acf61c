import { expect } from "vitest";
import { both, delta, two } from "./checklist.ts";
import { snapshot } from "./test-client.ts";

both("is told for clusters and listeners", (connect) => {
  for (const type of ["CDS", "LDS", "SRDS"] as const) {
    const client = connect(snapshot(`${type}:a@1`, `${type}:b@1`));
    client.subscribe(type);
    client.ack(type);
    expect(client.publish(snapshot(`${type}:a@1`))).toEqual([`${type} -b`]);
    client.ack(type);
    expect(client.has(type)).toBe("a@1");
  }
});

both(
  "of endpoints and routes is told in delta, and never by an empty state-of-the-world response",
  (connect, variant) => {
    for (const type of ["EDS", "RDS", "VHDS", "RTDS"] as const) {
      const client = connect(snapshot(`${type}:a@1`, `${type}:b@1`));
      client.subscribe(type, "a", "b");
      client.ack(type);
      expect(client.publish(snapshot(`${type}:a@1`))).toEqual(variant === "sotw" ? [] : [`${type} -b`]);
      client.answer(type);
      expect(client.read()).toEqual([]);
    }
  },
);

both("of a filter configuration or a secret is never told to who asked for it by name", (connect) => {
  for (const type of ["ECDS", "SDS"] as const) {
    const client = connect(snapshot(`${type}:f@1`));
    client.subscribe(type, "f");
    client.ack(type);
    expect(client.publish(snapshot("CDS:a@1"))).toEqual([]);
    expect(client.subscribe(type, "none")).toEqual([]);
    expect(client.publish(snapshot(`${type}:f@1`))).toEqual([]);
    expect(client.publish(snapshot(`${type}:f@2`))).toEqual([`${type} f@2`]);
  }
});

delta("of a filter configuration under a wildcard waits for the listener that names it", (connect) => {
  const client = connect(snapshot("LDS:l@1 -> ECDS:f", "ECDS:f@1"));
  client.subscribe("LDS");
  client.subscribe("ECDS", "*");
  client.ack("LDS", "ECDS");
  expect(client.publish(snapshot("LDS:l@2"))).toEqual(["LDS l@2"]);
  expect(client.ack("LDS")).toEqual(["ECDS -f"]);
});

both("and return with the same content is sent again", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.ack("CDS");
  client.publish(snapshot("CDS:a@1"));
  client.ack("CDS");
  expect(client.publish(two)).toEqual(["CDS b@1"]);
});

both("and return before it was told is not sent at all", (connect) => {
  const client = connect(two);
  client.subscribe("CDS");
  client.publish(snapshot("CDS:a@1"));
  client.publish(two);
  expect(client.ack("CDS")).toEqual([]);
});
