// Drives QLDB's driver for Node.js. Prints one JSON object: node client.js URL LEDGER SCENARIO
'use strict';
const fs = require('fs');
const path = require('path');
const ion = require('ion-js');
const { QldbDriver, RetryConfig } = require('amazon-qldb-driver-nodejs');

const [url, ledger, scenario] = process.argv.slice(2);
const ACCOUNTS = 6, CLIENTS = 16, MOVES = 2;
const driver = (name, ...more) => new QldbDriver(name, { endpoint: url, region: 'eu-west-2' }, ...more);
const run = async (qldb, text, ...parameters) =>
  (await qldb.executeLambda((txn) => txn.execute(text, ...parameters))).getResultList();
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function failure(work) {
  try { await work(); } catch (error) { return { code: error.name, message: error.message }; }
  throw new Error('no error');
}

const scenarios = {
  async tables(qldb) {
    await run(qldb, 'CREATE TABLE Vehicle');
    await run(qldb, 'CREATE INDEX ON Vehicle (vin)');
    await run(qldb, 'CREATE TABLE Gone');
    await run(qldb, 'DROP TABLE Gone');
    return { tables: await qldb.getTableNames() };
  },

  async values(qldb) {
    const given = ion.load(fs.readFileSync(path.join(__dirname, '..', 'values.ion'), 'utf8'));
    const [inserted] = await run(qldb, 'INSERT INTO Vehicle ?', given);
    const [found] = await run(qldb, 'SELECT * FROM Vehicle WHERE vin = ?', 'VALUES');
    return { id: inserted.get('documentId').stringValue(), found: ion.dumpText(found) };
  },

  async pages(qldb) {
    for (let start = 0; start < 450; start += 30) {
      const documents = Array.from({ length: 30 }, (_, n) => ({ vin: `P${start + n}`, page: true }));
      await run(qldb, 'INSERT INTO Vehicle ?', documents);
    }
    const found = await run(qldb, 'SELECT vin FROM Vehicle WHERE page = true');
    const streamed = await qldb.executeLambda(async (txn) => {
      let count = 0;
      for await (const _ of await txn.executeAndStreamResults('SELECT * FROM Vehicle WHERE page = ?', true)) count++;
      return count;
    });
    return { rows: found.length, distinct: new Set(found.map((row) => row.get('vin').stringValue())).size, streamed };
  },

  async errors(qldb) {
    let runs = 0;
    const other = driver(ledger);
    await run(qldb, "INSERT INTO Vehicle {'vin': 'E1'}");
    const conflict = await failure(() => qldb.executeLambda(async (txn) => {
      runs++;
      await txn.execute("SELECT * FROM Vehicle WHERE vin = 'E1'");
      await run(other, "UPDATE Vehicle SET n = ? WHERE vin = 'E1'", runs);
    }, new RetryConfig(2)));
    other.close();
    return {
      conflict, runs,
      syntax: await failure(() => run(qldb, 'SELECT FROM')),
      missing: await failure(() => run(qldb, 'SELECT * FROM Nope')),
      exists: await failure(() => run(qldb, 'CREATE TABLE Vehicle')),
      ledger: await failure(() => run(driver('other'), 'SELECT * FROM Vehicle')),
    };
  },

  async expiry(qldb) {
    const expired = await failure(() => qldb.executeLambda(async (txn) => {
      await txn.execute('SELECT * FROM Vehicle');
      await wait(1500);
      await txn.execute('SELECT * FROM Vehicle');
    }));
    await wait(3000);  // the session is idle, and ended: the driver begins another
    return { expired, after: (await run(qldb, 'SELECT 1 FROM << 0 >>')).length };
  },

  // The server has room for one transaction: another is refused until the first has ended.
  async capacity(qldb) {
    const other = driver(ledger);
    const refused = await qldb.executeLambda(async (txn) => {
      await txn.execute('SELECT * FROM Vehicle');
      return failure(() => run(other, 'SELECT * FROM Vehicle'));
    });
    const after = (await run(other, 'SELECT 1 FROM << 0 >>')).length;
    other.close();
    return { refused, after };
  },

  async accounts(qldb) {
    await run(qldb, 'CREATE TABLE Account');
    await run(qldb, 'CREATE INDEX ON Account (name)');
    await run(qldb, 'INSERT INTO Account ?', Array.from({ length: ACCOUNTS }, (_, n) => ({ name: `a${n}`, balance: 100 })));
    return {};
  },

  async money(qldb) {
    let done = 0;
    const failed = new Set();
    const move = async (txn, number) => {
      for (const [name, amount] of [[`a${number % ACCOUNTS}`, -1], [`a${(number * 5 + 1) % ACCOUNTS}`, 1]]) {
        const [row] = (await txn.execute('SELECT balance FROM Account WHERE name = ?', name)).getResultList();
        await txn.execute('UPDATE Account SET balance = ? WHERE name = ?', row.get('balance').numberValue() + amount, name);
      }
    };
    const work = async (client) => {
      for (let turn = 0; turn < MOVES; turn++) {
        for (;;) {
          try { await qldb.executeLambda((txn) => move(txn, client + turn)); done++; break; }
          catch (error) { failed.add(error.name); }
        }
      }
    };
    const clients = Array.from({ length: CLIENTS }, (_, n) => work(n));
    console.error('moving');
    await Promise.all(clients);
    const rows = await run(qldb, 'SELECT balance FROM Account');
    return { done, failed: [...failed].sort(), sum: rows.reduce((sum, row) => sum + row.get('balance').numberValue(), 0) };
  },
};

(async () => {
  const qldb = driver(ledger);
  console.log(JSON.stringify(await scenarios[scenario](qldb)));
  qldb.close();
})().catch((error) => { console.error(error); process.exit(1); });
