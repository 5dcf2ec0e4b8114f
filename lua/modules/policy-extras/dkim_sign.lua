-- dkim_sign: who signs what with DKIM, from TOML or JSON files.
--
--   local sign = require('policy-extras.dkim_sign'):setup { '/etc/penstock/dkim.toml' }
--   kumo.on('smtp_server_message_received', function(msg) sign(msg) end)
--
--   [base]                          # what holds unless a block says otherwise
--   selector = "s1"
--   headers = ["From", "To", "Subject"]
--   additional_signatures = ["ours"]
--   [domain."example.com"]          # by the domain of From; "*.example.com" too
--   selector = "s2"
--   algo = "ed25519"                # or "sha256", RSA
--   filename = "/etc/keys/x.pem"    # else KEY_DIR/DOMAIN/SELECTOR.key
--   [signature."ours"]
--   domain = "mailer.example"
--   policy = "Always"               # or "OnlyIfMissingDomainBlock"
--
-- All may have: header_canonicalization, body_canonicalization, over_sign,
-- expiration, body_length, reporting, ttl.  base.key_dir is /etc/penstock/dkim.
-- Later files override field by field.  A domain without a block gets the
-- additional signatures only.
local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'
local mod = {}

local CACHE_SECONDS = 300
local KEY_DIR = '/etc/penstock/dkim'
local HEADERS = {
  'From', 'Reply-To', 'Subject', 'Date', 'To', 'Cc', 'Message-ID', 'In-Reply-To', 'References',
  'MIME-Version', 'Content-Type', 'Content-Transfer-Encoding', 'List-Unsubscribe', 'List-Unsubscribe-Post',
}

local function with_options(fields)
  return utils.merge_into(fields, {
    selector = typing.option(typing.string),
    headers = typing.option(typing.list(typing.string)),
    algo = typing.option(typing.enum('Algo', 'sha256', 'ed25519')),
    header_canonicalization = typing.option(typing.enum('Canonicalization', 'Relaxed', 'Simple')),
    body_canonicalization = typing.option(typing.enum('Canonicalization', 'Relaxed', 'Simple')),
    over_sign = typing.option(typing.boolean),
    body_length = typing.option(typing.boolean),
    reporting = typing.option(typing.boolean),
    expiration = typing.option(typing.number),
    ttl = typing.option(typing.any),
  })
end

local Domain = typing.record('DkimDomain', with_options { filename = typing.option(typing.string) })

local Signature = typing.record('DkimSignature', with_options {
  domain = typing.string,
  filename = typing.option(typing.string),
  policy = typing.default(typing.enum('Policy', 'Always', 'OnlyIfMissingDomainBlock'), 'Always'),
})

local Data = typing.record('DkimConfig', {
  base = typing.default(typing.record('DkimBase', with_options {
    additional_signatures = typing.option(typing.list(typing.string)),
    key_dir = typing.option(typing.string),
  }), {}),
  domain = typing.default(typing.map(typing.string, Domain), {}),
  signature = typing.default(typing.map(typing.string, Signature), {}),
})

local NOT_OF_A_SIGNER = { 'additional_signatures', 'key_dir', 'filename', 'policy', 'algo' }

-- The parameters of one signer: of its block, else of base.
local function signer_params(data, block, domain)
  local params = utils.merge_into(block, utils.merge_into(data.base, {}))
  local algo = params.algo or 'sha256'
  local selector = params.selector
  if not selector then
    error(string.format('DkimConfig: %s: selector: required key is missing', utils.dumps(domain)), 0)
  end
  params.key = block.filename or string.format('%s/%s/%s.key', data.base.key_dir or KEY_DIR, domain, selector)
  for _, key in ipairs(NOT_OF_A_SIGNER) do
    params[key] = nil
  end
  params.domain = domain
  params.headers = params.headers or HEADERS
  return params, algo
end

local function sign(msg, data, block, domain)
  local params, algo = signer_params(data, block, domain)
  local make = algo == 'ed25519' and kumo.dkim.ed25519_signer or kumo.dkim.rsa_sha256_signer
  msg:dkim_sign(make(params))
end

local function load(files)
  local data = {}
  for _, file in ipairs(files) do
    utils.recursive_merge_into(utils.load_json_or_toml_file(file), data)
  end
  data = Data(data)
  local domains = {}
  for name, block in pairs(data.domain) do
    signer_params(data, block, name)
    domains[name:lower()] = block
  end
  for _, block in pairs(data.signature) do
    signer_params(data, block, block.domain)
  end
  for _, name in ipairs(data.base.additional_signatures or {}) do
    if not data.signature[name] then
      error(string.format('DkimConfig: additional_signatures: invalid value %s: it is not defined', utils.dumps(name)), 0)
    end
  end
  data.domain = kumo.domain_map.new(domains)
  return data
end

-- A key that is not there, or is none, is found by `penstock check`; one that only
-- the daemons may read is not looked at.
local function find_keys(data)
  local function find(block, domain)
    local params, algo = signer_params(data, block, domain)
    local make = algo == 'ed25519' and kumo.dkim.ed25519_signer or kumo.dkim.rsa_sha256_signer
    local ok, err = pcall(make, params)
    if not ok and not tostring(err):find('Permission denied', 1, true) then
      error(string.format('DkimConfig: %s: %s', utils.dumps(domain), tostring(err)), 0)
    end
  end
  for name, block in pairs(data.domain) do
    if block.filename or not utils.starts_with(name, '*') then
      find(block, (name:gsub('^%*%.', '')))
    end
  end
  for _, block in pairs(data.signature) do
    find(block, block.domain)
  end
end

-- Returns a function that signs a message.
function mod:setup(files)
  local data, load_at

  local function current()
    local now = os.time()
    if not data or now >= load_at or now < load_at - CACHE_SECONDS then
      data = utils.load_files(files, load)
      load_at = now + CACHE_SECONDS
    end
    return data
  end

  kumo.on('validate_config', function()
    utils.load_files(files, function()
      find_keys(load(files))
    end)
  end)
  return function(msg)
    local all = current()
    local from = msg:from_header()
    if not from then
      return
    end
    local domain = from.list[1] and from.list[1].domain and from.list[1].domain:lower()
    local block = domain and all.domain[domain]
    if block then
      sign(msg, all, block, domain)
    end
    for _, name in ipairs(all.base.additional_signatures or {}) do
      local signature = all.signature[name]
      if signature.policy == 'Always' or not block then
        sign(msg, all, signature, signature.domain)
      end
    end
  end
end

return mod
