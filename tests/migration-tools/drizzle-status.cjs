// Says which migrations drizzle-orm would apply: `drizzle-status.cjs <folder>`. Its code reads the files; the
// comparison is that of its migrate(): only the newest row counts.
'use strict';

const { readMigrationFiles } = require('drizzle-orm/migrator');
const { Client } = require('pg');

(async () => {
  const migrations = readMigrationFiles({ migrationsFolder: process.argv[2] });
  const client = new Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  const { rows } = await client.query(
    'select id, hash, created_at from "drizzle"."__drizzle_migrations" order by created_at desc limit 1',
  );
  await client.end();
  const pending = migrations.filter((one) => !rows[0] || Number(rows[0].created_at) < one.folderMillis);
  for (const one of pending) console.log(`pending: ${one.folderMillis} ${one.hash}`);
  if (pending.length === 0) console.log('no migrations are pending');
  process.exitCode = pending.length === 0 ? 0 : 1;
})();
