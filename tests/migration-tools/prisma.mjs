// Runs the schema engine of Prisma as `prisma migrate deploy` and `prisma migrate status` do:
// `prisma.mjs <directory-of-the-tools> migrate|status`, in the checkout, with DATABASE_URL.
//
// The programs of Prisma download the native engine; this is the same engine as WebAssembly, from a package.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [tools, command] = process.argv.slice(2);
const require = createRequire(join(tools, 'package.json'));
const load = (name) => import(pathToFileURL(join(tools, 'node_modules', name)));
const { SchemaEngine } = await load('@prisma/schema-engine-wasm/schema_engine.js');
const { PrismaPg } = require('@prisma/adapter-pg');
const { bindMigrationAwareSqlAdapterFactory } = require('@prisma/driver-adapter-utils');

const folder = resolve('prisma/migrations');
const text = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : null);
const migrationsList = {
  baseDir: folder,
  lockfile: { path: 'migration_lock.toml', content: text(join(folder, 'migration_lock.toml')) },
  shadowDbInitScript: '',
  migrationDirectories: readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
    .map((path) => ({
      path,
      migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: text(join(folder, path, 'migration.sql')) } },
    })),
};
const filters = { externalTables: [], externalEnums: [] };

const factory = new PrismaPg({ connectionString: process.env.DATABASE_URL });
// The adapter splits a script at every semicolon (7.10.1, executeScript); the native engine sends it as a whole.
const connect = factory.connect.bind(factory);
factory.connect = async () => {
  const adapter = await connect();
  adapter.executeScript = async (script) => {
    await adapter.underlyingDriver().query(script);
  };
  return adapter;
};
const engine = await SchemaEngine.new(
  { datamodels: [['schema.prisma', text('prisma/schema.prisma')]] },
  () => {},
  bindMigrationAwareSqlAdapterFactory(factory),
);
if (command === 'migrate') {
  const { appliedMigrationNames } = await engine.applyMigrations({ migrationsList, filters });
  console.log(JSON.stringify({ appliedMigrationNames }, null, 2));
} else {
  const found = await engine.diagnoseMigrationHistory({ migrationsList, optInToShadowDatabase: false, filters });
  console.log(JSON.stringify(found, null, 2));
  const clean =
    found.hasMigrationsTable &&
    !found.history &&
    found.editedMigrationNames.length === 0 &&
    found.failedMigrationNames.length === 0;
  process.exitCode = clean ? 0 : 1;
}
engine.free();
