/** The behaviour suite on a real Eureka server, and what only a real one can show. `npm run test:integration` builds it first. */
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { describeDiscovery } from "../../../test/conformance/discovery.ts";
import { call, eurekaFixture, eurekaOptions, eurekaSpec } from "../../../test/fixtures/discovery/eureka-fixture.ts";
import { RealEureka } from "../../../test/fixtures/discovery/real-eureka.ts";
import { RecordingObserver } from "../../../test/fixtures/discovery/recording-observer.ts";
import type { EurekaDiscovery } from "../../config/discovery-model.ts";
import { silentLogger } from "../../log.ts";
import { systemClock } from "../clock.ts";
import { EurekaSource } from "./eureka-source.ts";

/** A start takes it ten seconds, so tests share one and leave nothing in it. */
let shared: RealEureka | undefined;

afterAll(() => shared?.stop());

async function running(): Promise<RealEureka> {
  shared ??= await RealEureka.start();
  if (!shared.running) await shared.restart();
  return shared;
}

describeDiscovery(
  "Eureka (real)",
  async () => {
    const eureka = await running();
    // Longer than the server may stand empty, on a busy machine, before the fixture fills it again.
    const fixture = eurekaFixture(eureka, 10_000);
    return { ...fixture, close: async () => (eureka.running ? fixture.clear() : undefined) };
  },
  { ...eurekaOptions, timeoutMs: 60_000 },
);

describe("a real Eureka server", () => {
  const open: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close();
  });

  function watch(addresses: readonly string[], graceMs: number): RecordingObserver {
    const spec = eurekaSpec(addresses);
    const context = { name: "default/eureka", clock: systemClock, random: () => 0, log: silentLogger };
    const source = new EurekaSource(spec, spec.eureka as EurekaDiscovery, context, { graceMs });
    open.push(() => source.close());
    const web = new RecordingObserver();
    source.watch("web", web);
    return web;
  }

  const until = (what: string, condition: () => boolean) => waitFor(condition, { what, timeoutMs: 90_000 });
  const register = (eureka: RealEureka, id: string, durationInSecs = 90) =>
    call(eureka, "POST", "apps/web", {
      instance: {
        instanceId: id,
        hostName: id,
        app: "web",
        ipAddr: `10.0.0.${id}`,
        status: "UP",
        port: { $: 80, "@enabled": "true" },
        leaseInfo: { renewalIntervalInSecs: 30, durationInSecs },
        dataCenterInfo: { "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", name: "MyOwn" },
      },
    });

  it("takes out who does not renew, and is believed although nobody is left", async () => {
    const eureka = await running();
    await register(eureka, "1", 1);
    const web = watch([eureka.address], 3_600_000);
    await until("the endpoint", () => web.addresses?.length === 1);
    await until("its end", () => web.addresses?.length === 0);
  });

  it("that has just been started is not taken for one that has no instance", async () => {
    const eureka = await RealEureka.start();
    open.push(() => eureka.stop());
    const web = watch([eureka.address], 3_600_000);
    await until("doubt", () => web.code === "TM_DISCOVERY_EMPTY");
    await register(eureka, "1");
    await until("the endpoint", () => web.addresses?.length === 1);
    await eureka.stop();
    await until("a failure", () => web.code === "TM_DISCOVERY_UNREACHABLE");
    await eureka.restart();
    await until("doubt after the restart", () => web.code === "TM_DISCOVERY_EMPTY");
    await register(eureka, "2");
    await until("the new endpoint besides the one that has not come back", () => web.addresses?.length === 2);
    expect(web.answers.every((all) => all.length > 0)).toBe(true);
  });

  it("without deltas is asked for everything", async () => {
    const eureka = await RealEureka.start("--eureka.server.disable-delta=true");
    open.push(() => eureka.stop());
    await register(eureka, "1");
    const web = watch([eureka.address], 0);
    await until("the endpoint", () => web.addresses?.length === 1);
    await register(eureka, "2");
    await until("both endpoints", () => web.addresses?.length === 2);
    await call(eureka, "DELETE", "apps/web/1");
    await until("one endpoint", () => web.addresses?.length === 1);
    expect(web.failures).toEqual([]);
  });

  it("that is gone is replaced by the next address", async () => {
    const [one, two] = [await RealEureka.start(), await running()];
    open.push(() => one.stop());
    for (const each of [one, two]) await register(each, "1");
    const web = watch([one.address, two.address], 0);
    await until("the endpoint", () => web.addresses?.length === 1);
    await one.stop();
    await register(two, "2");
    await until("both endpoints of the second server", () => web.addresses?.length === 2);
    expect(web.failures).toEqual([]);
    for (const id of ["1", "2"]) await call(two, "DELETE", `apps/web/${id}`);
    await until("none", () => web.addresses?.length === 0);
  });
});
