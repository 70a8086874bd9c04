// Begins a script: `sftp` is connected as the person to the environment. What the script does follows.
const fs = require('fs');
const assert = require('assert');
const Client = require('ssh2-sftp-client');

async function main(work) {
  const sftp = new Client();
  await sftp.connect({
    host: process.env.HOST,
    port: Number(process.env.PORT),
    username: process.env.LOGIN,
    privateKey: fs.readFileSync(process.env.KEY),
  });
  try {
    await work(sftp);
  } finally {
    await sftp.end();
  }
}
