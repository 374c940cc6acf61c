/**
 * What the conformance suite of the Gateway API inference extension asks of a gateway with an endpoint picker, on real Envoy without Kubernetes: 100 requests, 10 at a
 * time, and none of them outside of where it was told to go.
 *
 * Reference: conformance/tests of kubernetes-sigs/gateway-api-inference-extension. What it asks of status conditions is the control plane's.
 */
import { createServer, type Http2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cluster, type ListenerSpec, versionsUnderTest, waitFor, wasmFilter } from "../../envoy/harness/index.ts";
import type { Replica } from "../../envoy/replica/index.ts";
import { ask, askMany, CHAT, misnamed, type Told, tally } from "./endpoint-clients.ts";
import * as gateway from "./endpoint-gateway.ts";
import { WASM_DIR } from "./gateways.ts";

const { addressOf, addressesOf, MODEL, oneListener, pickedCluster, pickerFilter, poolOf, SERVED } = gateway;

const COUNT = 100;
const AT_A_TIME = 10;

/** Servers of HTTP/2 without TLS, which the replicas do not speak. */
interface H2cServer {
  readonly server: Http2Server;
  readonly address: string;
}

async function startH2c(name: string): Promise<H2cServer> {
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      response.writeHead(200, { "x-replica": name, "content-type": "application/json" });
      response.end('{"object":"chat.completion","choices":[]}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let picking: gateway.PickedGateway;
  /** Three hosts with three ports each: the rank of a data-parallel engine has a port of its own. */
  let hosts: Replica[][];
  let models: Replica[];
  let primary: Replica[];
  let secondary: Replica[];
  let h2c: H2cServer[];
  let rounds = 0;

  beforeAll(async () => {
    const start = (host: string) => gateway.startReplicas(`host${host.at(-1)}-`, 3, { host });
    hosts = await Promise.all(["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(start));
    models = hosts.flat();
    primary = await gateway.startReplicas("primary", 3);
    secondary = await gateway.startReplicas("secondary", 3);
    h2c = [await startH2c("h2c-0"), await startH2c("h2c-1")];
    picking = await gateway.startPicking({ version, listeners: listeners(), clusters: clusters() });
  });
  afterAll(async () => {
    await picking?.envoy.stop();
    for (const replica of [...models, ...primary, ...secondary]) await replica.close();
    for (const { server } of h2c) server.close();
  });

  const clusters = () => [
    pickedCluster("models", addressesOf(models)),
    pickedCluster("primary", addressesOf(primary)),
    pickedCluster("secondary", addressesOf(secondary)),
    pickedCluster(
      "h2c",
      h2c.map(({ address }) => address),
      { http2: true },
    ),
    cluster({ name: "wrong-protocol", targets: h2c.map(({ address }) => address) }),
  ];

  const listeners = (): ListenerSpec[] => [
    oneListener({ pools: [poolOf("models", addressesOf(models))] }),
    {
      name: "by-path",
      httpFilters: [
        pickerFilter({
          pools: [
            poolOf("primary", addressesOf(primary), { match: { paths: ["/primary"] } }),
            poolOf("secondary", addressesOf(secondary), { match: { paths: ["/secondary"] } }),
          ],
        }),
      ],
      routes: ["primary", "secondary"].map((name) => ({
        cluster: name,
        prefix: `/${name}/`,
        action: { prefix_rewrite: "/" },
      })),
    },
    // Pools of one name and filters of one name, in one VM.
    ...(
      [
        ["one", primary],
        ["two", secondary],
      ] as const
    ).map(([name, members]) => ({
      ...oneListener({ pools: [poolOf("same", addressesOf(members))] }),
      ...{ name, routes: [{ cluster: members === primary ? "primary" : "secondary" }] },
    })),
    weighted(),
    {
      name: "h2c",
      httpFilters: [
        pickerFilter({
          pools: [
            poolOf(
              "h2c",
              h2c.map(({ address }) => address),
            ),
          ],
        }),
      ],
      routes: [
        { cluster: "wrong-protocol", headers: { "x-wrong": "1" } },
        { cluster: "h2c", prefix: "/" },
      ],
    },
  ];

  /** The router of the gateway sends 70 % to one pool and 30 % to the other. */
  const weighted = (): ListenerSpec => {
    const rule = {
      name: "split",
      targets: [
        { target: "primary", weight: 70 },
        { target: "secondary", weight: 30 },
      ],
    };
    const router = {
      targets: { primary: { cluster: "primary" }, secondary: { cluster: "secondary" } },
      rules: [rule],
    };
    const pools = [
      poolOf("first", addressesOf(primary), { targets: ["primary"] }),
      poolOf("second", addressesOf(secondary), { targets: ["secondary"] }),
    ];
    const configuration = { router, endpointPicker: { servedHeader: SERVED, pools } };
    const file = join(WASM_DIR, "llm-gateway.wasm");
    return {
      name: "weighted",
      httpFilters: [wasmFilter({ name: "llm-gateway", file, vmId: "gateway", configuration })],
      routes: [{ cluster: { header: "x-llm-cluster" } }],
    };
  };

  /** Sends the requests and returns what each replica got; all are answered, and by whom the filter says. */
  const steered = async (url: string, among: readonly string[], known: Replica[]): Promise<Record<string, number>> => {
    // None of them begins as another one: that would go where the other one went.
    const answers = await askMany(url, COUNT, AT_A_TIME, (n) => ({ text: `${n} of ${++rounds} `.repeat(200), among }));
    expect(tally(answers, ({ status }) => status)).toEqual({ 200: COUNT });
    expect(misnamed(known, answers)).toEqual([]);
    return tally(answers, ({ replica }) => replica);
  };
  const namesOf = (replicas: readonly (Replica | undefined)[]): string[] => replicas.map((one) => one?.name ?? "");

  test.each([[[4]], [[0, 4]], [[0, 1, 2, 3, 4, 5, 6, 7, 8]]])("requests stay among %j", async (indexes) => {
    const among = indexes.map((index) => models[index]) as Replica[];
    const got = await steered(picking.url, addressesOf(among), models);
    expect(Object.keys(got).sort()).toEqual(namesOf(among).sort());
  });

  test("ports of a host are endpoints of their own: a host alone means all of them", async () => {
    const [one, two] = hosts as [Replica[], Replica[]];
    const hostOf = ([replica]: Replica[]): string => (replica ? addressOf(replica) : "").split(":")[0] ?? "";
    expect(Object.keys(await steered(picking.url, [hostOf(two)], models)).sort()).toEqual(namesOf(two));
    const mixed = [hostOf(one), ...addressesOf(two.slice(1, 2))];
    expect(Object.keys(await steered(picking.url, mixed, models)).sort()).toEqual(namesOf([...one, two[1]]));
    const outer = [one[0], one[2]] as Replica[];
    expect(Object.keys(await steered(picking.url, addressesOf(outer), models)).sort()).toEqual(namesOf(outer));
  });

  test("the answer names the endpoint that gave it, each of them", async () => {
    for (const replica of models) {
      const answer = await ask(picking.url, { among: [addressOf(replica)] });
      expect([answer.replica, answer.served]).toEqual([replica.name, addressOf(replica)]);
    }
  });

  test("two pools by weight: each request stays in its pool, though it may go to members of both", async () => {
    const url = await picking.urlOf("weighted");
    const among = addressesOf([...primary, ...secondary]);
    const count = 200;
    const answers = await askMany(url, count, 5, (n) => ({ text: `${n} `.repeat(600), among }));
    expect(tally(answers, ({ status }) => status)).toEqual({ 200: count });
    expect(misnamed([...primary, ...secondary], answers)).toEqual([]);
    const inFirst = answers.filter(({ replica }) => replica.startsWith("primary")).length;
    // Of a binomial distribution, as the suite has it.
    const tolerance = Math.max(0.1, 4.5 * Math.sqrt((0.7 * 0.3) / count));
    expect(Math.abs(inFirst / count - 0.7)).toBeLessThan(tolerance);
    const seen = (replicas: readonly Replica[]) => replicas.reduce((sum, { requests }) => sum + requests.length, 0);
    expect([seen(primary), seen(secondary)]).toEqual([inFirst, count - inFirst]);
    // Nobody needed Envoy's own policy: a pick outside of the cluster would have.
    const outcomes = (pool: string) => picking.counted(pool);
    for (const pool of ["first", "second"]) {
      expect((await outcomes(pool)).get("answers;outcome=moved")).toBe(0);
    }
  });

  test("rules of one listener go to pools of their own", async () => {
    const url = await picking.urlOf("by-path");
    for (const [name, members] of [
      ["primary", primary],
      ["secondary", secondary],
    ] as const) {
      const answers = await askMany(url, COUNT, AT_A_TIME, (n) => ({
        text: `${n} `.repeat(600),
        path: `/${name}${CHAT}`,
      }));
      expect(tally(answers, ({ status }) => status)).toEqual({ 200: COUNT });
      expect(misnamed(members, answers)).toEqual([]);
      expect(Object.keys(tally(answers, ({ replica }) => replica)).sort()).toEqual(namesOf(members));
    }
  });

  test("listeners have pools of their own, also by the same name", async () => {
    for (const [listener, members] of [
      ["one", primary],
      ["two", secondary],
    ] as const) {
      const url = await picking.urlOf(listener);
      for (const member of members) {
        const answer = await ask(url, { among: [addressOf(member)] });
        expect([answer.status, answer.replica]).toEqual([200, member.name]);
      }
      const answers = await askMany(url, 30, 3, (n) => ({ text: `${n} of ${listener} `.repeat(300) }));
      expect(misnamed(members, answers)).toEqual([]);
    }
    const told = () => picking.counted("same");
    await waitFor(async () => (await told()).get("answers;outcome=served") === 66, {
      what: "all to be where they were sent",
    });
  });

  test("HTTP/2 and HTTP/1 backends", async () => {
    const url = await picking.urlOf("h2c");
    for (const [index, { address }] of h2c.entries()) {
      const answer = await ask(url, { among: [address] });
      expect([answer.status, answer.replica, answer.served]).toEqual([200, `h2c-${index}`, address]);
    }
    const wrong: Told = await ask(url, { headers: { "x-wrong": "1" } });
    expect([502, 503]).toContain(wrong.status);
  });

  test("the model servers got what the clients sent", () => {
    expect(models.flatMap(({ requests }) => requests.map(({ model }) => model)).filter((one) => one !== MODEL)).toEqual(
      [],
    );
  });
});
