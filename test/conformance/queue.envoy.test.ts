import { versionsUnderTest } from "../../envoy/harness/index.ts";
import { queueEnvoy } from "./queue-drivers.ts";
import { queueSuite } from "./queue-suite.ts";

for (const version of versionsUnderTest()) queueSuite(`envoy ${version}`, () => queueEnvoy(version));
