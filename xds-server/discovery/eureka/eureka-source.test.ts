import { describe, expect, it } from "vitest";
import { describeDiscovery } from "../../../test/conformance/discovery.ts";
import { FakeEureka } from "../../../test/fixtures/discovery/eureka.ts";
import { eurekaFixture, eurekaOptions, eurekaSpec } from "../../../test/fixtures/discovery/eureka-fixture.ts";
import {
  arranged,
  fakeEureka,
  paths,
  register,
  remove,
  startPolled,
  until,
} from "../../../test/fixtures/discovery/polled-eureka.ts";
import { RecordingObserver } from "../../../test/fixtures/discovery/recording-observer.ts";
import { silentLogger } from "../../log.ts";
import { systemClock } from "../clock.ts";
import { eurekaSource } from "./index.ts";

describeDiscovery(
  "Eureka (fake)",
  async () => {
    const eureka = new FakeEureka();
    const { http } = eureka;
    await http.start();
    const restart = async () => {
      eureka.forget();
      await http.start();
    };
    const hostile = http.hostile.bind(http);
    return eurekaFixture({ address: `${http.address}/eureka`, stop: () => http.stop(), restart, hostile });
  },
  eurekaOptions,
);

describe("Eureka source", () => {
  it("reads everything once, then what has changed", async () => {
    const { eureka, web, poll } = await arranged({ ids: ["1"] });
    await register(eureka, "2");
    await poll();
    expect(web.addresses).toEqual(["10.0.0.1", "10.0.0.2"]);
    await remove(eureka, "1");
    await poll();
    expect(web.addresses).toEqual(["10.0.0.2"]);
    expect(paths(eureka)).toEqual(["/", "/delta", "/delta"]);
    expect(web.failures).toEqual([]);
  });

  it("reads everything again a minute after a change, and otherwise every ten minutes", async () => {
    const { eureka, poll } = await arranged({ ids: ["1"] });
    for (let i = 0; i < 59; i++) await poll();
    expect(paths(eureka).filter((path) => path === "/")).toHaveLength(1);
    await poll();
    expect(paths(eureka).filter((path) => path === "/")).toHaveLength(2);
    await register(eureka, "2");
    for (let i = 0; i < 5; i++) await poll();
    expect(paths(eureka).filter((path) => path === "/")).toHaveLength(2);
    await poll();
    expect(paths(eureka).filter((path) => path === "/")).toHaveLength(3);
    for (let i = 0; i < 12; i++) await poll();
    expect(paths(eureka).filter((path) => path === "/")).toHaveLength(3);
  });

  it("reads everything always when it asks more seldom than deltas are kept", async () => {
    const { eureka, web, poll } = await arranged({ ids: ["1"], poll: { min: 180_000, max: 3_600_000 } });
    await poll(180_000);
    expect(paths(eureka)).toEqual(["/", "/"]);
    await remove(eureka, "1");
    await register(eureka, "2");
    await poll(180_000);
    expect(web.addresses).toEqual(["10.0.0.1", "10.0.0.2"]); // for one lease
  });

  it("asks more often, and within a tenth around that, when it is told to", async () => {
    for (const [random, due] of [[0, 1_800] as const, [1, 2_200] as const]) {
      const { clock, eureka, web } = await arranged({ ids: ["1"], poll: { min: 1_000, max: 2_000 }, random });
      clock.advance(due - 1);
      expect(paths(eureka)).toHaveLength(1);
      clock.advance(1);
      await until("the next answer", () => web.answers.length === 2);
    }
  });

  it("waits longer after each failure, until there is an answer", async () => {
    const { clock, eureka, web } = await arranged({ ids: ["1"], random: 1 });
    const next = async (afterMs: number, outcome: () => boolean) => {
      const asked = paths(eureka).length;
      clock.advance(afterMs - 1);
      expect(paths(eureka)).toHaveLength(asked);
      clock.advance(1);
      await until("an outcome", () => outcome() && clock.waiting === 1);
    };
    eureka.http.hostile("error");
    await next(11_000, () => web.failures.length === 1);
    await next(500, () => web.failures.length === 2);
    eureka.http.hostile(undefined);
    await next(1_000, () => web.answers.length === 2);
    expect(paths(eureka).at(-1)).toBe("/"); // what changed in between may not be in a delta any more
    eureka.http.hostile("error");
    await next(11_000, () => web.failures.length === 3);
    await next(500, () => web.failures.length === 4);
  });

  it("refuses what is no name of a service, but not after it is asked to be still", async () => {
    const { source } = await startPolled([await fakeEureka()]);
    const [told, untold] = [new RecordingObserver(), new RecordingObserver()];
    source.watch("no service", told);
    source.watch("no service", untold)();
    await Promise.resolve();
    expect([told.code, untold.code]).toEqual(["TM_DISCOVERY_FAILED", undefined]);
  });

  it("goes to another server when one does not answer, stays there, and reads everything from it", async () => {
    const [one, two] = [await fakeEureka(), await fakeEureka()];
    for (const each of [one, two]) await register(each, "1");
    await register(two, "2");
    const { watch, poll } = await startPolled([one, two]);
    const web = watch();
    await until("the first answer", () => web.addresses?.length === 1);
    await one.http.stop();
    await poll();
    expect(web.addresses).toEqual(["10.0.0.1", "10.0.0.2"]);
    await one.http.start();
    const asked = one.http.requests.length;
    await poll();
    expect(paths(two)).toEqual(["/", "/delta"]);
    expect(one.http.requests.length).toBe(asked);
    expect(web.failures).toEqual([]);
    await two.http.stop();
    await poll();
    expect(web.addresses).toEqual(["10.0.0.1", "10.0.0.2"]); // the first does not know 2, and may yet
  });

  it("fails when no server answers, and tells that it goes on", async () => {
    const [one, two] = [await fakeEureka(), await fakeEureka()];
    await register(two, "1");
    await one.http.stop();
    await two.http.stop();
    const { clock, watch } = await startPolled([one, two]);
    const web = watch();
    await until("a failure", () => web.code === "TM_DISCOVERY_UNREACHABLE");
    await two.http.start();
    for (let i = 0; i < 3 && web.answers.length === 0; i++) {
      await until("a pause", () => clock.waiting > 0 || web.answers.length > 0);
      clock.advance(30_000);
    }
    await until("an answer", () => web.addresses?.length === 1);
  });

  it("shows its name and password, and says so when they are wrong", async () => {
    const eureka = await fakeEureka();
    await register(eureka, "1");
    eureka.authorization = `Basic ${Buffer.from("mesh:s3:cret").toString("base64")}`;
    process.env.TM_TEST_EUREKA_PASSWORD = "s3:cret";
    try {
      const password = { env: "TM_TEST_EUREKA_PASSWORD", file: undefined };
      const right = (await startPolled([eureka], { username: "mesh", password })).watch();
      await until("an answer", () => right.addresses?.length === 1);
      const wrong = (await startPolled([eureka], { username: "other", password })).watch();
      await until("a refusal", () => wrong.code === "TM_DISCOVERY_DENIED");
      expect(wrong.failures[0]?.message).not.toContain("s3:cret");
    } finally {
      delete process.env.TM_TEST_EUREKA_PASSWORD;
    }
  });

  it("asks nothing while nobody watches, and starts afresh after that", async () => {
    const { clock, eureka, watch, web } = await arranged({ ids: ["1"] });
    web.unwatch();
    clock.advance(1_000_000);
    expect(clock.waiting).toBe(0);
    await remove(eureka, "1");
    await register(eureka, "2");
    const again = watch("WEB");
    await until("an answer", () => again.answers.length > 0);
    expect(again.addresses).toEqual(["10.0.0.2"]);
    expect(paths(eureka)).toEqual(["/", "/"]);
  });

  it("is for specifications of its kind alone", () => {
    const spec = { ...eurekaSpec([]), eureka: undefined };
    const context = { name: "default/x", clock: systemClock, random: () => 0, log: silentLogger };
    expect(() => eurekaSource(spec, context)).toThrow("not of kind eureka");
  });
});
