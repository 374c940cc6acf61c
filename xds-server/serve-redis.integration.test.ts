import { storeBinaries } from "../test/fixtures/redis-server.ts";
import { redisPlaces } from "../test/fixtures/state/redis-places.ts";
import { describeReplicas } from "../test/state/replica-suite.ts";

/** Several servers on one Redis or Valkey; npm run test:integration -- redis */

for (const { name, binary } of storeBinaries())
  describeReplicas(`Replicas on ${name}`, () => redisPlaces(binary), "reason" in binary ? { skip: binary.reason } : {});
