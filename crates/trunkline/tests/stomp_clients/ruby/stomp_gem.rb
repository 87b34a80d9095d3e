# What a program that uses the gem stomp gets from a STOMP server.
#
# usage: stomp_gem.rb HOST PORT VERSION [rabbitmq]
#
# Prints a line for every check that held; the first that doesn't ends it. A line that begins with `> ` asks
# whoever runs it to do something to the server, and a line on standard input says that it is done.

require 'securerandom'
require 'stomp'
require 'timeout'

$stdout.sync = true
HOST, PORT, VERSION, RABBITMQ = ARGV
WAIT_S = 60
BINARY = (0..255).map(&:chr).join.b + "\0".b

def ok(what)
  puts "Ruby stomp #{VERSION}: #{what}"
end

def order(what)
  puts "> #{what}"
  $stdin.gets or raise "nobody did: #{what}"
end

def fresh(kind = 'queue')
  "/#{kind}/ruby-stomp-#{SecureRandom.uuid}"
end

def equal(found, expected, what)
  raise "#{what}: found #{found.inspect}, expected #{expected.inspect}" unless found == expected
end

# A client, and what came over it, in its order.
class Session
  attr_reader :client

  def initialize(**options)
    version = VERSION == '1.0' ? {} : { 'accept-version' => VERSION, 'host' => '/' }
    @messages = Thread::Queue.new
    @client = Stomp::Client.new(
      hosts: [{ login: 'guest', passcode: 'guest', host: HOST, port: PORT.to_i }],
      reliable: false,
      **options,
      connect_headers: version.merge(options.fetch(:connect_headers, {}))
    )
    equal(@client.protocol, VERSION, 'the version')
  end

  def message
    Timeout.timeout(WAIT_S) { @messages.pop }
  end

  def messages(count)
    Array.new(count) { message }
  end

  def bodies(count)
    messages(count).map(&:body)
  end

  # Does something with a receipt, and waits for it.
  def receipt
    answers = Thread::Queue.new
    yield ->(answer) { answers.push(answer) }
    Timeout.timeout(WAIT_S) { answers.pop }
  end

  def stored(there, *bodies)
    bodies.each do |body|
      receipt { |take| @client.publish(there, body, persistent: 'true', &take) }
    end
  end

  def subscribe(there, headers = {})
    @client.subscribe(there, headers) { |message| @messages.push(message) }
  end

  def ack(message, headers = {})
    receipt { |take| @client.ack(message, headers, &take) }
  end

  # What was sent before counts when a later frame is answered.
  def settled
    stored(fresh, 'a message behind it')
  end

  # Without a receipt: the gem's thread may take it before whoever waits for it.
  def close
    @client.close
  end
end

# What waits in a queue beside a message that is sent now. That one may overtake what a connection that ends gives back.
def left(there, *expected)
  session = Session.new
  session.subscribe(there)
  session.client.publish(there, 'sent now')
  messages = session.messages(expected.length + 1).reject { |message| message.body == 'sent now' }
  equal(messages.map(&:body), expected, "what is left in #{there}")
  session.close
  messages
end

def bodies_and_headers
  session = Session.new
  there = fresh
  session.subscribe(there)
  # A backslash before a c would meet a fault of the gem.
  value = VERSION == '1.0' ? 'plain' : "a:b\nc\\d"
  ['grüße', BINARY, '', 'x' * 1_000_000].each do |body|
    session.client.publish(there, body, trace: value)
    message = session.message
    equal(message.body.b, body.b, 'the body')
    equal(message.headers['trace'], value, 'a header')
    equal(message.headers['destination'], there, 'the destination')
  end
  ok 'bodies come back byte for byte, headers as they were'

  session.client.unsubscribe(there)
  session.stored(there, 'after')
  session.subscribe(there)
  equal(session.bodies(1), ['after'], 'what waits')
  session.close
  ok 'nothing comes after UNSUBSCRIBE, and it waits for the next SUBSCRIBE'
end

def acknowledging
  there = fresh
  session = Session.new
  session.stored(there, '1', '2', '3', '4')
  session.subscribe(there, ack: 'auto')
  equal(session.bodies(4), %w[1 2 3 4], 'auto')
  session.close
  left(there)
  ok 'auto: what was sent is gone'

  session = Session.new
  session.stored(there, '1', '2', '3', '4')
  session.subscribe(there, ack: 'client')
  messages = session.messages(4)
  equal(messages.map { |message| message.headers['redelivered'] }, ['false'] * 4, 'redelivered')
  session.ack(messages[2])
  session.close
  equal(left(there, '4').first.headers['redelivered'], 'true', 'redelivered')
  ok 'client: an ACK settles all up to it, the rest comes again'

  return if VERSION == '1.0'

  session = Session.new
  session.stored(there, '1', '2', '3', '4')
  session.subscribe(there, ack: 'client-individual')
  session.ack(session.messages(4)[2])
  session.close
  left(there, '1', '2', '4')
  ok 'client-individual: an ACK settles one'

  session = Session.new
  session.stored(there, 'again')
  session.subscribe(there, ack: 'client-individual')
  session.client.nack(session.message)
  again = session.message
  equal([again.body, again.headers['redelivered']], %w[again true], 'NACK')
  session.ack(again)
  session.close
  left(there)
  ok 'NACK: it comes again'
end

def transactions
  there = fresh
  other = fresh
  session = Session.new
  session.stored(other, '1', '2')
  session.subscribe(other, ack: 'client')
  first, second = session.messages(2)

  session.client.begin('a')
  session.client.publish(there, 'aborted', transaction: 'a')
  session.client.ack(second, transaction: 'a')
  session.client.abort('a')
  equal(session.message.body, '2', 'what the gem hands out again by itself')

  session.client.begin('b')
  session.client.publish(there, 'committed', transaction: 'b')
  session.client.ack(first, transaction: 'b')
  session.client.commit('b')
  session.settled
  session.close
  left(there, 'committed')
  left(other, '2')
  ok 'SEND and ACK count with COMMIT, and not with ABORT'
end

def topics
  there = fresh('topic')
  listeners = [Session.new, Session.new]
  listeners.each do |listener|
    listener.subscribe(there)
    # Answered in order: so the subscription is there.
    listener.settled
  end
  sender = Session.new
  sender.client.publish(there, 'news')
  equal(listeners.map { |listener| listener.bodies(1) }, [['news'], ['news']], 'what listeners got')
  [sender, *listeners].each(&:close)
  ok 'every listener of a topic gets a message'
end

def refused
  # The gem raises it in the thread that made the client, and says on stderr that one of its own ended.
  asking = Thread.new do
    Thread.current.report_on_exception = false
    session = Session.new
    session.client.subscribe('/nowhere/at/all') { raise 'a message of nowhere' }
    session.client.join
  end
  begin
    asking.join(WAIT_S)
    raise 'no ERROR came'
  rescue Stomp::Error::BrokerException => error
    raise 'an ERROR without text' if error.message.empty?
  end
  ok 'SUBSCRIBE to an unknown destination is an ERROR'
end

# Tells when heart-beats are missed: the gem counts how many in a row.
class Beats < Stomp::NullLogger
  MISSED_MAX = 6

  # How often the gem looked for one.
  attr_reader :looks

  def initialize
    super
    @looks = 0
    @silences = Thread::Queue.new
  end

  def on_hbfire(_parameters, name, _info = nil)
    @looks += 1 if name == 'receive_fire'
  end

  def on_hbread_fail(_parameters, info)
    @silences.push(info) if info['lock_fail_count'] == MISSED_MAX
  end

  def silent?
    !@silences.empty?
  end

  def wait
    Timeout.timeout(WAIT_S) { @silences.pop }
  end
end

def beating
  return if VERSION == '1.0'

  beats = Beats.new
  session = Session.new(logger: beats, connect_headers: { 'heart-beat' => '400,400' })
  Timeout.timeout(WAIT_S) { sleep 0.05 until beats.looks >= 4 && session.client.hbsend_count >= 1 }
  session.settled
  equal(beats.silent?, false, 'silence')
  ok 'heart-beats keep an idle connection'
  return session.close if RABBITMQ

  order 'pause'
  beats.wait
  order 'resume'
  session.close
  ok 'a silent server is noticed'
end

def reconnecting
  there = fresh
  session = Session.new(reliable: true, initial_reconnect_delay: 0.05, max_reconnect_delay: 0.5)
  session.stored(there, '1', '2')
  session.subscribe(there, ack: 'client')
  first, = session.messages(2)
  session.ack(first)
  order 'restart'
  # It connects and subscribes again by itself.
  again = session.message
  equal([again.body, again.headers['redelivered']], %w[2 true], 'what comes again')
  session.ack(again)
  session.close
  left(there)
  ok 'after the server was killed, what was stored and not acknowledged comes again'
end

bodies_and_headers
acknowledging
transactions
topics
refused
beating
# RabbitMQ forgets acknowledgements when it is killed; and it serves others, too.
reconnecting unless RABBITMQ
