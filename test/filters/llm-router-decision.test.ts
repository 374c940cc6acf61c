import { describe, expect, it } from "vitest";
import { expectSameForEverySplit } from "../host/index.ts";
import { chat, RouterHost, refusalOf, sent } from "./router-driver.ts";

/** Which rule decides, what becomes of requests that none decides, and the name that the upstream gets. */

const targets = {
  hit: { route: "hit" },
  other: { cluster: "other" },
  third: { route: "third", upstreamModel: "third" },
};
const to = (name: keyof typeof targets) => [{ target: name }];

const gatewayFor = (match: object, more: object = {}) =>
  RouterHost.start({
    models: [{ model: "*", route: "miss" }],
    targets,
    rules: [{ name: "r", match, targets: to("hit") }],
    ...more,
  });

function routeOf(gateway: RouterHost, model: string) {
  const stream = gateway.send(JSON.stringify({ model }));
  return refusalOf(stream) ?? sent(stream).route;
}

describe("order", () => {
  it("is that of the list, rules before models", async () => {
    const gateway = await RouterHost.start({
      targets,
      rules: [
        { name: "a", match: { models: ["a*"] }, targets: to("hit") },
        { name: "b", match: { models: ["ab"] }, targets: to("other") },
        { name: "c", match: { models: ["b*"] }, targets: to("other") },
      ],
      models: [
        { model: "ab", route: "entry" },
        { model: "c", route: "entry" },
      ],
    });
    expect(routeOf(gateway, "ab")).toBe("hit");
    expect(sent(gateway.send('{"model":"b"}'))).toMatchObject({ route: undefined, cluster: "other", model: "b" });
    expect(routeOf(gateway, "c")).toBe("entry");
    expect(routeOf(gateway, "d")).toBe("model_not_found");
  });

  it("leaves requests without a usable model to their own defaults, whatever the rules say", async () => {
    const gateway = await gatewayFor({}, { onMissingModel: { target: "other" }, onUnknownModel: { target: "third" } });
    expect(sent(gateway.send('{"messages":[]}'))).toMatchObject({ cluster: "other", body: '{"messages":[]}' });
    expect(sent(gateway.send('{"model":"a\\nb"}'))).toMatchObject({ route: "third", body: '{"model":"third"}' });
    expect(sent(gateway.send('{"model":"x"}')).route).toBe("hit");
  });

  it("takes clients no header that carries a decision", async () => {
    const gateway = await gatewayFor({ models: ["b"] }, { clusterHeader: "x-llm-to" });
    const stream = gateway.send('{"model":"a"}', [
      ...chat(),
      ["x-llm-team", "1"],
      ["x-llm-to", "evil"],
      ["x-llm-cluster", "evil"],
    ]);
    expect(sent(stream)).toMatchObject({ route: "miss", cluster: undefined });
    for (const name of ["x-llm-to", "x-llm-team"]) expect(stream.upstream.headers?.has(name)).toBe(false);
  });
});

describe("the name that the upstream gets", () => {
  const provider = (target: object) =>
    RouterHost.start({
      targets: { t: { route: "r", ...target } },
      rules: [{ name: "r", match: { provider: "acme" }, targets: [{ target: "t" }] }],
    });

  it("is what stands behind the provider", async () => {
    const gateway = await provider({});
    const stream = gateway.send('{"model":"acme/m\\"1","n":1}');
    expect(sent(stream)).toMatchObject({ model: 'acme/m"1', body: '{"model":"m\\"1","n":1}', length: "22" });
  });

  it("is that of the target, if it has one", async () => {
    const gateway = await provider({ upstreamModel: "own" });
    expect(sent(gateway.send('{"model":"acme/m"}')).body).toBe('{"model":"own"}');
    expect(sent(gateway.send('{"model":"acme/own"}')).body).toBe('{"model":"own"}');
  });

  it("does not depend on how the body is cut", async () => {
    const gateway = await provider({});
    expectSameForEverySplit('{"messages":[{"content":"é"}],"model":"acme\\/é","x":1}', (body) =>
      sent(gateway.router.exchange({ headers: chat(), body })),
    );
  });
});
