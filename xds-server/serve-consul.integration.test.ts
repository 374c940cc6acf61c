import { RealConsul } from "../test/fixtures/discovery/real-consul.ts";
import { consulPart } from "../test/fixtures/integration-parts.ts";
import { describeReplicas } from "../test/state/replica-suite.ts";

/** Several servers on one Consul; npm run test:integration -- consul */

const part = consulPart();

describeReplicas(
  "Replicas on Consul",
  async () => {
    const consul = await RealConsul.start({ durable: true });
    let places = 0;
    let away = false;
    return {
      fresh: async () => ({ state: `${consul.address.replace("http:", "consul:")}/place-${places++}` }),
      outage: {
        begin: async () => {
          away = true;
          await consul.stop();
        },
        end: async () => {
          if (away) await consul.restart();
          away = false;
        },
      },
      dispose: () => consul.close(),
    };
  },
  "reason" in part ? { skip: part.reason } : {},
);
