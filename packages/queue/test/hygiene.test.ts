import { hygiene } from "@howdah/testing/hygiene";
import * as functions from "../src/functions.ts";
import { queueModule } from "../src/module.ts";

hygiene(queueModule, { clients: Object.values(functions) });
