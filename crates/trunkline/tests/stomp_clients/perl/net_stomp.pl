# What a program that uses Net::Stomp gets from a STOMP server.
#
# usage: net_stomp.pl HOST PORT VERSION [rabbitmq]
#
# Prints a line for every check that held; the first that doesn't ends it. A line that begins with `> ` asks
# whoever runs it to do something to the server, and a line on standard input says that it is done.

use strict;
use warnings;
use Net::Stomp;

$| = 1;
my ( $host, $port, $version, $rabbitmq ) = @ARGV;
my $wait_s = 60;
my $unique = join '-', $$, time;
my $count  = 0;

sub ok { print "Net::Stomp $version: @_\n" }

sub fresh {
    my $kind = shift || 'queue';
    return "/$kind/net-stomp-$unique-" . ++$count;
}

sub equal {
    my ( $found, $expected, $what ) = @_;
    my ( $f, $e ) = map { join '|', map { defined ? $_ : 'undef' } ref $_ ? @$_ : $_ } $found, $expected;
    die "$what: found $f, expected $e" unless $f eq $e;
}

sub connected {
    my $stomp = Net::Stomp->new(
        { hostname => $host, port => $port, connect_delay => 0, timeout => $wait_s, @_ } );
    my %version = $version eq '1.0' ? () : ( 'accept-version' => $version, host => '/' );
    my $frame   = $stomp->connect( { login => 'guest', passcode => 'guest', %version } );
    equal( $frame->command, 'CONNECTED', 'the answer to CONNECT' );
    equal( $frame->headers->{version} || '1.0', $version, 'the version' );
    return $stomp;
}

# The next message.
sub message {
    my $stomp = shift;
    my $frame = $stomp->receive_frame( { timeout => $wait_s } );
    # That was the end of a connection: the next call makes another and subscribes again.
    $frame ||= $stomp->receive_frame( { timeout => $wait_s } );
    die 'no message came' unless $frame;
    equal( $frame->command, 'MESSAGE', 'a frame with ' . join ' ', %{ $frame->headers } );
    return $frame;
}

sub bodies {
    my ( $stomp, $number ) = @_;
    return [ map { message($stomp)->body } 1 .. $number ];
}

sub stored {
    my ( $stomp, $there, @bodies ) = @_;
    for my $body (@bodies) {
        $stomp->send_with_receipt( { destination => $there, body => $body, persistent => 'true' } )
            or die 'no RECEIPT came';
    }
}

sub subscribe {
    my ( $stomp, $there, @headers ) = @_;
    $stomp->subscribe( { destination => $there, id => "s-$there", @headers } );
}

# What an ACK or NACK must say besides what Net::Stomp says by itself.
sub settling {
    my $frame = shift;
    my %more = ( frame => $frame, subscription => $frame->headers->{subscription} );
    $more{id} = $frame->headers->{ack} if $version eq '1.2';
    return \%more;
}

# What waits in a queue beside a message that is sent now. That one may overtake what a connection that ends gives back.
sub left {
    my ( $there, @expected ) = @_;
    my $stomp = connected();
    subscribe( $stomp, $there );
    $stomp->send( { destination => $there, body => 'sent now' } );
    my @found = grep { $_ ne 'sent now' } @{ bodies( $stomp, @expected + 1 ) };
    equal( \@found, \@expected, "what is left in $there" );
    $stomp->disconnect;
}

# Net::Stomp waits for no RECEIPT of DISCONNECT: what was sent before counts when a later frame is answered.
sub settled {
    my $stomp = shift;
    stored( $stomp, fresh(), 'a message behind it' );
    $stomp->disconnect;
}

sub bodies_and_headers {
    my ( $stomp, $there ) = ( connected(), fresh() );
    subscribe( $stomp, $there );
    my $binary = join( '', map { chr } 0 .. 255 ) . "\0";
    for my $body ( 'text', $binary, 'x' x 1_000_000 ) {
        $stomp->send( { destination => $there, body => $body, bytes_message => 1, trace => 'abc' } );
        my $frame = message($stomp);
        equal( $frame->body, $body, 'the body' );
        equal( $frame->headers->{trace}, 'abc', 'a header' );
        equal( $frame->headers->{destination}, $there, 'the destination' );
    }
    ok 'bodies come back byte for byte, headers as they were';
    $stomp->unsubscribe( { id => "s-$there" } );
    stored( $stomp, $there, 'after' );
    subscribe( $stomp, $there );
    equal( bodies( $stomp, 1 ), ['after'], 'what waits' );
    $stomp->disconnect;
    ok 'nothing comes after UNSUBSCRIBE, and it waits for the next SUBSCRIBE';
}

sub acknowledging {
    my ( $stomp, $there ) = ( connected(), fresh() );
    stored( $stomp, $there, 1 .. 4 );
    subscribe( $stomp, $there, ack => 'auto' );
    equal( bodies( $stomp, 4 ), [ 1 .. 4 ], 'auto' );
    $stomp->disconnect;
    left($there);
    ok 'auto: what was sent is gone';

    $stomp = connected();
    stored( $stomp, $there, 1 .. 4 );
    subscribe( $stomp, $there, ack => 'client' );
    my @frames = map { message($stomp) } 1 .. 4;
    equal( [ map { $_->headers->{redelivered} } @frames ], [ ('false') x 4 ], 'redelivered' );
    $stomp->ack( settling( $frames[2] ) );
    settled($stomp);
    left( $there, 4 );
    ok 'client: an ACK settles all up to it, the rest comes again';

    return if $version eq '1.0';

    $stomp = connected();
    stored( $stomp, $there, 1 .. 4 );
    subscribe( $stomp, $there, ack => 'client-individual' );
    @frames = map { message($stomp) } 1 .. 4;
    $stomp->ack( settling( $frames[2] ) );
    settled($stomp);
    left( $there, 1, 2, 4 );
    ok 'client-individual: an ACK settles one';

    $stomp = connected();
    stored( $stomp, $there, 'again' );
    subscribe( $stomp, $there, ack => 'client-individual' );
    $stomp->nack( settling( message($stomp) ) );
    my $again = message($stomp);
    equal( [ $again->body, $again->headers->{redelivered} ], [ 'again', 'true' ], 'NACK' );
    $stomp->ack( settling($again) );
    settled($stomp);
    left($there);
    ok 'NACK: it comes again';
}

# It waits for the RECEIPT of a SEND before it sends COMMIT; RabbitMQ for COMMIT before it sends the RECEIPT.
sub transactional_sends {
    my ( $stomp, $there ) = ( connected(), fresh() );
    my $sent = $stomp->send_transactional( { destination => $there, body => 'committed' } );
    equal( $sent, 1, 'what send_transactional returns' );
    settled($stomp);
    left( $there, 'committed' );
    ok 'send_transactional gets its RECEIPT within the transaction, and it is stored';
}

sub transactions {
    my ( $stomp, $there ) = ( connected(), fresh() );
    my $frame = sub {
        my ( $command, $name ) = @_;
        $stomp->send_frame(
            Net::Stomp::Frame->new(
                { command => $command, headers => { transaction => $name } } ) );
    };
    my $other = fresh();
    stored( $stomp, $other, 1, 2 );
    subscribe( $stomp, $other, ack => 'client' );
    my @frames = map { message($stomp) } 1 .. 2;
    $frame->( 'BEGIN', 'a' );
    $stomp->send( { destination => $there, body => 'aborted', transaction => 'a' } );
    $stomp->ack( { %{ settling( $frames[1] ) }, transaction => 'a' } );
    $frame->( 'ABORT', 'a' );
    $frame->( 'BEGIN', 'b' );
    $stomp->send( { destination => $there, body => 'committed', transaction => 'b' } );
    $stomp->ack( { %{ settling( $frames[0] ) }, transaction => 'b' } );
    $frame->( 'COMMIT', 'b' );
    settled($stomp);
    left( $there, 'committed' );
    left( $other, 2 );
    ok 'SEND and ACK count with COMMIT, and not with ABORT';
}

sub topics {
    my ( $stomp, $there ) = ( connected(), fresh('topic') );
    my @listeners = ( connected(), connected() );
    for my $listener (@listeners) {
        subscribe( $listener, $there );
        # Answered in order: so the subscription is there.
        stored( $listener, fresh(), 'behind it' );
    }
    $stomp->send( { destination => $there, body => 'news' } );
    equal( bodies( $_, 1 ), ['news'], 'a listener' ) for @listeners;
    $_->disconnect for $stomp, @listeners;
    ok 'every listener of a topic gets a message';
}

sub reconnecting {
    my ( $stomp, $there ) = ( connected( reconnect_attempts => 0 ), fresh() );
    stored( $stomp, $there, 1, 2 );
    subscribe( $stomp, $there, ack => 'client' );
    my @frames = map { message($stomp) } 1 .. 2;
    $stomp->ack( settling( $frames[0] ) );
    stored( $stomp, fresh(), 'behind it' );
    print "> restart\n";
    <STDIN> // die 'nobody restarted the server';
    my $again = message($stomp);
    equal( $again->body, 2, 'what comes again' );
    $stomp->ack( settling($again) );
    settled($stomp);
    left($there);
    ok 'after the server was killed, what was stored and not acknowledged comes again';
}

bodies_and_headers();
acknowledging();
transactional_sends() unless $rabbitmq;
transactions();
topics();
# It forgets acknowledgements when it is killed; and it serves others, too.
reconnecting() unless $rabbitmq;
