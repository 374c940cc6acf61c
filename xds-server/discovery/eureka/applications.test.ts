import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eurekaSpec } from "../../../test/fixtures/discovery/eureka-fixture.ts";
import { readEndpoints } from "../endpoint.ts";
import { DiscoveryError } from "../errors.ts";
import { readApplications } from "./applications.ts";

/** As Spring Cloud Eureka 5.0.1 writes it. */
const instance = {
  instanceId: "host:web:8080",
  hostName: "host",
  app: "WEB",
  ipAddr: "10.0.0.1",
  status: "UP",
  overriddenStatus: "UNKNOWN",
  port: { $: 8080, "@enabled": "true" },
  securePort: { $: 8443, "@enabled": "false" },
  countryId: 1,
  dataCenterInfo: { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", name: "MyOwn" },
  leaseInfo: { renewalIntervalInSecs: 30, durationInSecs: 90 },
  metadata: { "@class": "java.util.Map", "model.tokenmesh.io/llama": "8b", weight: "5" },
  lastUpdatedTimestamp: "1795321124205",
  actionType: "ADDED",
};
const answer = (...instances: unknown[]) => ({
  applications: { versions__delta: "7", apps__hashcode: "UP_1_", application: [{ name: "WEB", instance: instances }] },
});
const read = (changes: Record<string, unknown> = {}) =>
  readApplications(answer({ ...instance, ...changes })).instances[0];

describe("answer of /apps", () => {
  it("is a list of instances with the hash and version of the registry", () => {
    const { metadata, ...endpoint } = read()?.endpoint ?? {};
    expect(readApplications(answer(instance))).toMatchObject({ hash: "UP_1_", version: "7" });
    expect(read()).toMatchObject({ application: "WEB", status: "UP", deleted: false });
    expect(endpoint).toEqual({
      id: "host:web:8080",
      address: "10.0.0.1",
      port: 8080,
      health: "healthy",
      locality: { zone: "" },
    });
    expect([...(metadata ?? [])]).toEqual([
      ["model.tokenmesh.io/llama", "8b"],
      ["weight", "5"],
    ]);
  });

  it.each([
    ["UP", "healthy"],
    ["DOWN", "unhealthy"],
    ["STARTING", "unhealthy"],
    ["OUT_OF_SERVICE", "draining"],
    ["UNKNOWN", "unknown"],
    ["up", "unknown"],
    [undefined, "unknown"],
  ])("maps status %s to %s", (status, health) => {
    expect(read({ status })?.endpoint.health).toBe(health);
  });

  it("takes the secure port when it alone is enabled, and none when neither is", () => {
    const [on, off] = ["true", "false"];
    const ports = (port: string | undefined, securePort: string | undefined) =>
      read({ port: { $: 1, "@enabled": port }, securePort: { $: 2, "@enabled": securePort } })?.endpoint.port;
    expect([ports(on, on), ports(on, off), ports(off, on), ports(off, off)]).toEqual([1, 1, 2, 0]);
    expect(read({ port: { $: "7001", "@enabled": true } })?.endpoint.port).toBe(7001);
    expect(read({ port: 7002 })?.endpoint.port).toBe(7002);
    expect(read({ port: undefined, securePort: undefined })?.endpoint.port).toBe(0);
  });

  it("takes zone and address from the data centre when the instance does not say them", () => {
    const dataCenterInfo = {
      name: "Amazon",
      metadata: { "availability-zone": "us-east-1c", "local-ipv4": "10.9.9.9", "instance-id": "i-77" },
    };
    expect(read({ dataCenterInfo })?.endpoint.locality).toEqual({ zone: "us-east-1c" });
    expect(read({ dataCenterInfo, metadata: { zone: "z" } })?.endpoint.locality).toEqual({ zone: "z" });
    expect(read({ dataCenterInfo, ipAddr: undefined, instanceId: undefined })?.endpoint).toMatchObject({
      address: "10.9.9.9",
      id: "i-77",
    });
    expect(read({ instanceId: undefined })?.endpoint.id).toBe("host");
  });

  it("says what has been deleted", () => {
    expect(read({ actionType: "DELETED" })?.deleted).toBe(true);
    expect(read({ actionType: "MODIFIED" })?.deleted).toBe(false);
  });

  it("reads a single application or instance that is not in a list, and names in any case", () => {
    const body = { applications: { application: { name: "Web", instance } } };
    expect(readApplications(body).instances.map(({ application }) => application)).toEqual(["WEB"]);
    expect(readApplications({ applications: { application: { instance } } }).instances[0]?.application).toBe("WEB");
    expect(readApplications({ applications: {} })).toEqual({ hash: undefined, version: undefined, instances: [] });
  });

  it.each([null, [], "x", 7, {}, { applications: [] }, { error: "Not Found" }])("refuses %j", (body) => {
    expect(() => readApplications(body)).toThrow("has no applications");
  });

  it("refuses more instances than a registry may have", () => {
    expect(readApplications(answer(...new Array(50_000).fill(instance))).instances).toHaveLength(50_000);
    expect(() => readApplications(answer(...new Array(50_001).fill(instance)))).toThrow("50000 instances");
  });

  it("takes no object for a text or a number, even one that cannot be converted", () => {
    const odd = { toString: 1, valueOf: 1 };
    for (const port of [odd, [odd], { $: odd, "@enabled": "true" }, { $: 1, "@enabled": odd }]) {
      const { version, instances } = readApplications({
        applications: { versions__delta: odd, application: { name: "A", instance: { instanceId: "i", port } } },
      });
      expect(version).toBeUndefined();
      expect(instances[0]?.endpoint.port).not.toBe(1);
    }
  });

  it("never throws anything else, whatever JSON says", () => {
    const anything = fc.jsonValue({ maxDepth: 3 });
    const odd = fc.record({
      instanceId: anything,
      app: anything,
      ipAddr: anything,
      status: fc.oneof(anything, fc.constant("UP")),
      port: fc.oneof(anything, fc.record({ $: anything, "@enabled": anything })),
      metadata: anything,
      dataCenterInfo: fc.oneof(anything, fc.record({ metadata: anything })),
    });
    const application = fc.oneof(
      anything,
      fc.record({ name: anything, instance: fc.oneof(anything, fc.array(odd, { maxLength: 3 })) }),
    );
    const body = fc.oneof(
      anything,
      fc.record({
        applications: fc.oneof(
          anything,
          fc.record({ application, apps__hashcode: anything, versions__delta: anything }),
        ),
      }),
    );
    fc.assert(
      fc.property(body, (each) => {
        try {
          const { instances } = readApplications(each);
          readEndpoints(
            instances.map(({ endpoint }) => endpoint),
            eurekaSpec(["h"]).metadata,
          );
        } catch (error) {
          expect(error).toBeInstanceOf(DiscoveryError);
          expect((error as Error).message.length).toBeLessThan(1_024);
        }
      }),
    );
  });
});
